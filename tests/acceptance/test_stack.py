"""The processes start as they do everywhere, and survive what the other acceptance tests do to them."""

from app.stores.connections import redis
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import message


def test_the_real_processes_take_a_delivery_through_crashes_of_everything(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    before, after = message(), message()
    pipeline.accept([before])

    for name in ("web", "ingest1", "worker1", "worker2", "beat"):
        stack.kill(name)
        stack.start(name)
    stack.wait_until_ready()

    stack.kill("valkey")
    stack.start("valkey")
    stack.kill("postgres")
    stack.start("postgres")
    stack.wait_until_ready()
    pipeline.accept([after])
    pipeline.assert_done_once([before, after])


def test_a_paused_server_keeps_what_it_has(pipeline: Pipeline) -> None:
    redis().set("kept", "yes")
    for name in ("valkey", "postgres"):
        pipeline.stack.pause(name)
        pipeline.stack.resume(name)
    pipeline.stack.wait_until_ready()
    assert redis().get("kept") == b"yes"
