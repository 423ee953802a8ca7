"""Every stored delivery is finished, whatever process dies at whatever instant."""

import signal
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import cycle

from app.dev.stack import programs
from app.stores.connections import redis
from app.stores.redis_keys import JOURNAL, WAKES
from app.watch import heartbeats
from config.celery import CONVERSATIONS, WEBHOOKS
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, conversation, conversations, message, users

LONG_LEASE_SECONDS = "600"  # nobody waits for it
CRASHES = 2
LANES = 8
HANDLER_SECONDS = 0.05


def ingested(pipeline: Pipeline, sent: list[Item]) -> bool:
    return pipeline.states(sent).total() == len(sent) and not redis().exists(JOURNAL)


def some_stored(pipeline: Pipeline, sent: list[Item]) -> bool:
    return pipeline.states(sent).total() > 0


def gone(pipeline: Pipeline, name: str) -> bool:
    return not pipeline.stack.process(name).alive


def tries(pipeline: Pipeline, name: str) -> int:
    """How often it has tried in vain to connect to Redis again."""
    lines = (pipeline.stack.path / "stack.log").read_text(encoding="utf-8").splitlines()
    return sum(line.startswith(name) and "Trying again" in line for line in lines)


def answers(worker: str) -> bool:
    return any(name.startswith(f"{worker}@") for name in heartbeats.alive(redis()))


def test_a_dead_workers_event_runs_again_before_its_lease_ends_and_its_lane_goes_on(
    start_pipeline: Callable[..., Pipeline],
) -> None:
    pipeline = start_pipeline(workers=2, concurrency=1, CLAIM_LEASE_SECONDS=LONG_LEASE_SECONDS)
    first, *rest = [message(user=7, block="yes"), message(user=7), message(user=7)]
    pipeline.accept([first, *rest])
    runner = pipeline.wait_until_begun(first)
    pipeline.stack.kill(runner.name)
    pipeline.wait_until_begun(first, attempt=2)
    pipeline.assert_done_once([first, *rest])
    pipeline.assert_in_order([first, *rest])


def test_a_pool_process_that_dies_under_a_handler_costs_an_attempt_and_no_event(pipeline: Pipeline) -> None:
    first, other = message(block="yes"), message()
    lane = [first, message(first.user), message(first.user)]
    pipeline.accept([*lane, other])
    pipeline.wait_until_begun(first).process.kill()
    pipeline.assert_done_once([*lane, other])
    pipeline.assert_in_order(lane)
    assert [effect.attempt for effect in pipeline.effects([first])] == [2]


def test_a_main_process_that_dies_alone_leaves_no_event_behind(pipeline: Pipeline) -> None:
    held = message(block="yes")
    lane = [held, message(held.user)]
    pipeline.accept(lane)
    runner = pipeline.wait_until_begun(held)
    pipeline.stack.kill_main(runner.name)
    pipeline.stack.wait_until(lambda: not pipeline.stack.process(runner.name).alive)
    pipeline.open_gate(held)  # whether its pool process lived on or not
    pipeline.assert_done_once(lane)
    pipeline.assert_in_order(lane)


def test_a_worker_that_loses_redis_under_a_handler_lives_on_and_finishes_it(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    held = message(block="yes")
    pipeline.accept([held])
    name = pipeline.wait_until_begun(held).name
    worker, before = stack.process(name), tries(pipeline, name)
    worker.send(signal.SIGSTOP)
    redis().client_kill_filter(_type="pubsub")  # it hears of the loss first on what remote control listens to
    stack.kill("valkey")
    worker.send(signal.SIGCONT)
    stack.wait_until(lambda: tries(pipeline, name) > before, what="an attempt to connect again")
    stack.start("valkey")
    pipeline.open_gate(held)
    pipeline.assert_done_once([held])
    stack.wait_until_ready()
    assert [effect.attempt for effect in pipeline.effects([held])] == [1]


def test_an_ingest_killed_in_mid_burst_leaves_nothing_half_stored(pipeline: Pipeline) -> None:
    everything: list[Item] = []
    for _ in range(CRASHES):
        sent = conversations(10, 12)
        answers = [pipeline.meta.begin(each.content) for each in sent]
        pipeline.stack.wait_until(partial(some_stored, pipeline, sent))
        pipeline.stack.kill("ingest1")
        assert [answer.result() for answer in answers] == [200] * len(sent)
        pipeline.stack.start("ingest1")
        everything += sent
    pipeline.assert_done_once(everything)
    pipeline.stack.wait_until(lambda: not redis().exists(JOURNAL), what="an empty journal")


def test_after_ingest_a_redis_that_loses_everything_costs_time_only(pipeline: Pipeline) -> None:
    held = message(block="yes")
    waiting = [message(held.user) for _ in range(3)]
    pipeline.accept([held, *waiting])
    pipeline.wait_until_begun(held)
    for name in ("worker1", "worker2"):
        pipeline.stack.pause(name)
    others = conversations(20, 3)
    pipeline.accept(others)
    pipeline.stack.wait_until(lambda: ingested(pipeline, [*waiting, *others]), what="all of it ingested")

    redis().flushall()
    for name in ("worker1", "worker2"):
        pipeline.stack.resume(name)
    pipeline.wait_until_begun(held, attempt=2)  # its claim was lost too: another attempt begins beside it
    pipeline.open_gate(held)
    pipeline.assert_done_once([held, *waiting, *others])
    pipeline.assert_in_order([held, *waiting, *others])


def test_bodies_whose_task_was_lost_are_found_in_the_journal(pipeline: Pipeline) -> None:
    pipeline.stack.kill("ingest1")
    sent = conversations(10, 5)
    pipeline.accept(sent)
    redis().delete(WEBHOOKS, CONVERSATIONS, "unacked", "unacked_index", "unacked_mutex")
    assert redis().exists(JOURNAL)
    pipeline.stack.start("ingest1")
    pipeline.assert_done_once(sent)
    pipeline.assert_in_order(sent)


def test_a_restart_of_postgres_under_load_costs_no_event(pipeline: Pipeline) -> None:
    before = conversations(10, 5, sleep=HANDLER_SECONDS)
    pipeline.accept(before)
    pipeline.stack.wait_until(lambda: pipeline.states(before)["done"] > 0)
    pipeline.stack.restart("postgres")
    after = conversations(10, 2)
    pipeline.accept(after)
    pipeline.assert_done_once([*before, *after])
    pipeline.assert_one_at_a_time([*before, *after])


def test_lanes_go_on_without_beat_and_what_was_lost_meanwhile_is_found_when_it_is_back(
    pipeline: Pipeline,
) -> None:
    stack = pipeline.stack
    stack.kill("beat")
    present = conversation(3)
    pipeline.accept(present)
    pipeline.assert_done_once(present)

    for name in ("worker1", "worker2"):
        stack.pause(name)
    lost = conversations(5, 3)
    pipeline.accept(lost)
    stack.wait_until(lambda: ingested(pipeline, lost), what="all of it ingested")
    redis().delete(CONVERSATIONS, WAKES)
    for name in ("worker1", "worker2"):
        stack.resume(name)
    passing = conversation(3)
    pipeline.accept(passing)
    pipeline.assert_done_once(passing)
    assert pipeline.states(lost)["pending"] > 0

    stack.start("beat")
    pipeline.assert_done_once(lost)
    pipeline.assert_in_order(lost)


def test_two_beats_at_once_do_no_harm(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    second = replace(programs.beat(), name="beat2")
    stack.supervisor.start(second)
    try:
        stack.kill("ingest1")
        sent = [*conversations(10, 3), message(fail=1)]
        pipeline.accept(sent)
        redis().delete(WEBHOOKS)
        stack.start("ingest1")
        pipeline.assert_done_once(sent)
    finally:
        stack.kill("beat2")


def test_a_deploy_under_load_loses_nothing_and_doubles_nothing(pipeline: Pipeline) -> None:
    stack = pipeline.stack
    held = message(block="yes")
    pipeline.accept([held])
    first = pipeline.wait_until_begun(held).name
    (second,) = {"worker1", "worker2"} - {first}
    lanes = cycle([next(users) for _ in range(LANES)])
    try:
        with pipeline.meta.flow(lambda: message(next(lanes), sleep=HANDLER_SECONDS), HANDLER_SECONDS) as sent:
            stack.kill_main(first, signal.SIGTERM)
            stack.supervisor.start(programs.worker(3, concurrency=2))
            for name in ("web", "ingest1"):
                stack.restart(name)
            stack.wait_until(partial(answers, "worker3"))
            stack.kill_main(second, signal.SIGTERM)
            for name in (first, second):
                stack.wait_until(partial(gone, pipeline, name), what=f"the end of {name}")
        pipeline.assert_done_once([held, *sent])
        pipeline.assert_one_at_a_time(sent)
    finally:
        stack.stop("worker3")
