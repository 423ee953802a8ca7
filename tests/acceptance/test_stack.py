"""The processes start as they do everywhere, and survive what the other acceptance tests do to them."""

from collections.abc import Callable

from app.connections import redis
from tests.factories import body, messages, text_message
from tests.stack import Stack


def test_the_real_processes_take_a_delivery_through_crashes_of_everything(
    start_stack: Callable[..., Stack],
) -> None:
    stack = start_stack(workers=2)
    assert stack.post(body(messages(text_message()))).status_code == 200

    for name in ("web", "ingest1", "worker1", "worker2", "beat"):
        stack.kill(name)
        stack.start(name)
    stack.wait_until_ready()

    stack.kill("valkey")
    stack.start("valkey")
    stack.kill("postgres")
    stack.start("postgres")
    stack.wait_until_ready()
    assert stack.post(body(messages(text_message(number=2)))).status_code == 200


def test_a_paused_server_keeps_what_it_has(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack()
    redis().set("kept", "yes")
    for name in ("valkey", "postgres"):
        stack.pause(name)
        stack.resume(name)
    stack.wait_until_ready()
    assert redis().get("kept") == b"yes"
