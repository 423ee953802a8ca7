"""The tasks: each opens what is needed, calls the core and acts on its answer."""

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import psycopg2
import pytest
from celery.exceptions import Retry
from redis.exceptions import ConnectionError as RedisAwayError
from sqlalchemy.exc import InterfaceError, OperationalError

from app import dead_letters
from app.broker import wakes
from app.handlers import Permanent
from app.ingest import MAX_REQUEUES
from app.stores.redis_keys import JOURNAL, JOURNAL_REQUEUED, JOURNAL_REQUEUES
from config.celery import WEBHOOKS
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.clock import Clock
from tests.helpers.core import Core, text_body
from tests.helpers.rows import ago

pytestmark = pytest.mark.core(of_process=True)


@pytest.fixture
def ingest(core: Core) -> ModuleType:
    return importlib.import_module("tasks.ingest")


@pytest.fixture
def maintenance(core: Core) -> ModuleType:
    return importlib.import_module("tasks.maintenance")


@pytest.fixture
def lanes(core: Core) -> Iterator[ModuleType]:
    module = importlib.import_module("tasks.lanes")
    module.lanes.cache_clear()
    yield module
    module.lanes.cache_clear()


@pytest.fixture
def clock(ingest: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ingest, "time", clock)
    return clock


# ingest


def away(error: Exception) -> Any:
    def fail(*_: Any) -> None:
        raise error

    return fail


PATIENCE_SECONDS = 60  # of a busy machine
POSTGRES_AWAY = [
    OperationalError("SELECT", {}, psycopg2.OperationalError("away")),
    InterfaceError("SELECT", {}, psycopg2.InterfaceError("closed")),
]


def test_the_task_ingest_stores_what_it_is_given(core: Core, ingest: ModuleType) -> None:
    core.on("message")
    core.accept(text_body("a"), text_body("b"))
    ingest.ingest_deliveries([list(delivery) for delivery in core.take_task()])
    core.run()
    assert core.seen == ["a", "b"]
    assert core.redis.hlen(JOURNAL) == 0


@pytest.mark.parametrize("error", POSTGRES_AWAY)
def test_the_task_ingest_waits_while_postgres_is_away(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, calls = ingest.ingest, []

    def recover(*arguments: Any) -> None:
        calls.append(arguments)
        (real if len(calls) > 3 else away(error))(*arguments)

    monkeypatch.setattr(ingest, "ingest", recover)
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert core.states() == {"done": 1}
    assert len(clock.slept) == 3 + 1  # and once for what may come


def test_the_task_ingest_gives_up_before_its_time_limit_and_leaves_the_journal(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(ingest, "ingest", away(POSTGRES_AWAY[0]))
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert sum(clock.slept) > ingest.PATIENCE_SECONDS - 2 * ingest.MAX_WAIT_SECONDS
    assert sum(clock.slept) < settings.advance_time_limit_seconds
    assert max(clock.slept) <= ingest.MAX_WAIT_SECONDS
    assert core.redis.hlen(JOURNAL) == 1


def redelivered(core: Core, ingest: ModuleType) -> None:
    """Run the task as Celery does when the process that had its message died."""
    bodies = core.take_task()
    ingest.ingest_deliveries.push_request(delivery_info={"redelivered": True})
    try:
        ingest.ingest_deliveries.run(bodies)
    finally:
        ingest.ingest_deliveries.pop_request()


def test_what_is_given_out_again_is_stored_without_what_waits_beside_it(
    core: Core, ingest: ModuleType
) -> None:
    core.on("message")
    core.accept(text_body("a"))
    core.accept(text_body("b", sender=2))
    redelivered(core, ingest)
    assert core.states() == {"pending": 1}
    assert core.redis.hlen(JOURNAL_REQUEUES) == 0


def test_a_delivery_that_ends_its_ingest_again_and_again_becomes_a_dead_letter(
    core: Core, ingest: ModuleType
) -> None:
    (id_,) = core.accept(text_body("poison"))
    core.redis.hset(JOURNAL_REQUEUES, id_, MAX_REQUEUES)
    redelivered(core, ingest)
    (event,) = core.rows("SELECT state::text AS state, type, error FROM events")
    assert (event.state, event.type) == ("dead", "unreadable")
    assert event.error == "its ingest did not end, 20 times"
    assert bytes(core.value("SELECT body FROM deliveries")) == f.wire(text_body("poison"))
    assert core.redis.exists(JOURNAL, JOURNAL_REQUEUES) == 0


def test_a_delivery_that_the_sweep_enqueued_in_vain_becomes_a_dead_letter(
    core: Core, maintenance: ModuleType
) -> None:
    (id_,) = core.accept(text_body("poison"), at_ms=1)
    for _ in range(MAX_REQUEUES):
        core.redis.delete(WEBHOOKS)
        maintenance.sweep_lost()
        assert len(core.take_task()) == 1
        core.redis.zadd(JOURNAL_REQUEUED, {id_: 1})
    maintenance.sweep_lost()
    assert core.states() == {"dead": 1}
    assert core.redis.exists(JOURNAL, WEBHOOKS) == 0


def test_an_outage_of_postgres_does_not_count_against_a_delivery(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest", away(POSTGRES_AWAY[0]))
    (id_,) = core.accept(text_body("a"))
    core.redis.hset(JOURNAL_REQUEUES, id_, MAX_REQUEUES - 1)
    redelivered(core, ingest)
    assert core.redis.exists(JOURNAL_REQUEUES) == 0
    assert core.redis.hlen(JOURNAL) == 1


def test_the_task_ingest_is_content_when_only_redis_is_away(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ingest.split.remove_from_journal", away(RedisAwayError()))
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert core.states() == {"done": 1}
    assert clock.slept == []


# advance


def test_the_task_advance_raises_retry_after_a_failed_attempt_and_publishes_nothing(
    core: Core, lanes: ModuleType
) -> None:
    core.on("message", None, core.failing("a"))
    (lane,) = core.ingest(text_body("a")).lanes
    core.redis.flushall()
    with pytest.raises(Retry):
        lanes.advance(lane)
    assert core.redis.keys() == []


@pytest.mark.parametrize("outcome", ["empty", "done", "dead", "waiting", "held"])
def test_the_task_advance_raises_nothing_else(core: Core, lanes: ModuleType, outcome: str) -> None:
    core.on("message", None, core.failing(*["a"] if outcome == "dead" else [], error=Permanent("no")))
    (lane,) = core.ingest(text_body("a")).lanes
    if outcome == "waiting":
        core.execute("UPDATE events SET due_at = :later", later=ago(-60))
    if outcome == "held":
        core.kill_worker_in(lane)
    lanes.advance(lane + 1 if outcome == "empty" else lane)
    states = {"done": "done", "dead": "dead"}
    assert core.event("a").state == states.get(outcome, "pending")


def test_the_task_advance_chains_when_its_budget_is_used_up(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ADVANCE_BUDGET_SECONDS", "0.000001")
    lanes.settings.cache_clear()
    core.on("message")
    (lane,) = core.ingest(text_body("a", "b")).lanes
    core.redis.flushall()
    lanes.advance(lane)
    assert (core.seen, core.wakes_in_queue()) == (["a"], [lane])


def test_the_task_advance_chains_after_a_failure_that_skips(core: Core, lanes: ModuleType) -> None:
    core.on("message", None, core.failing("a"), on_failure="skip")
    (lane,) = core.ingest(text_body("a", "b")).lanes
    core.redis.flushall()
    with pytest.raises(Retry):
        lanes.advance(lane)
    assert core.wakes_in_queue() == [lane]


def test_the_task_advance_comes_back_while_an_earlier_delivery_settles(core: Core, lanes: ModuleType) -> None:
    core.on("message")
    core.accept(text_body("earlier"))
    (lane,) = core.ingest(text_body("later")).lanes
    core.redis.delete("conversations", "lanes:woken")
    lanes.advance(lane)
    assert (core.seen, core.wakes_in_queue()) == ([], [lane])


def waiting_lanes(core: Core, count: int) -> list[int]:
    """So many lanes with an event each; their wakes wait in the queue, the first one's was received."""
    lanes = [lane for n in range(count) for lane in core.ingest(text_body(f"m{n}", sender=n)).lanes]
    core.redis.rpop("conversations")
    return lanes


def test_the_task_advance_goes_on_with_lanes_that_wait_while_the_queue_is_long(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MORE_SECONDS", PATIENCE_SECONDS)
    core.on("message")
    first, *_ = waiting_lanes(core, 3 * wakes.SHARE)
    lanes.advance(first)
    assert core.states() == {"done": 2 * wakes.SHARE + 1, "pending": wakes.SHARE - 1}
    assert len(core.wakes_in_queue()) == wakes.SHARE - 1  # for the others


def test_the_task_advance_takes_no_more_lanes_once_its_time_is_over(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MORE_SECONDS", 0)
    core.on("message")
    first, *others = waiting_lanes(core, 3 * wakes.SHARE)
    lanes.advance(first)
    assert core.wakes_in_queue() == others


def test_the_task_advance_tells_of_every_attempt_that_failed(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MORE_SECONDS", PATIENCE_SECONDS)
    core.on("message", None, core.failing("m0", "m1"))
    first, *_ = waiting_lanes(core, 3 * wakes.SHARE)
    with pytest.raises(Retry) as raised:
        lanes.advance(first)
    assert all(f"event {core.event(words).id}:" in str(raised.value) for words in ("m0", "m1"))


@pytest.mark.parametrize("error", [*POSTGRES_AWAY, RedisAwayError()])
def test_the_task_advance_leaves_the_lane_to_the_sweep_while_a_store_is_away(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr("app.lanes.runner.Runner.advance", away(error))
    lanes.advance(1)
    assert core.wakes_in_queue() == []


def test_the_worker_of_an_attempt_is_named(core: Core, lanes: ModuleType) -> None:
    core.on("message")
    (lane,) = core.ingest(text_body("a")).lanes
    lanes.advance.apply(args=[lane]).get()
    assert "/" in core.attempts_of("a")[0].worker


# maintenance


def test_the_sweep_of_what_is_due_wakes_its_lanes(core: Core, maintenance: ModuleType) -> None:
    core.on("message", None, core.failing("a"))
    (lane,) = core.ingest(text_body("a")).lanes
    core.run()
    maintenance.sweep_due()
    assert core.wakes_in_queue() == []
    core.make_due()
    maintenance.sweep_due()
    assert core.wakes_in_queue() == [lane]


def test_the_sweep_of_the_fallback_store_brings_all_in(
    core: Core, maintenance: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recovery.sweeper.STORED_AT_ONCE", 2)
    core.on("message")
    for words in ("a", "b", "c"):
        core.accept_in_fallback_store(text_body(words))
    maintenance.sweep_stored()
    core.run()
    assert core.seen == ["a", "b", "c"]
    assert core.rows("SELECT DISTINCT state, body, door FROM deliveries") == [("split", None, "postgres")]


def test_the_sweep_of_what_was_lost_looks_at_journal_and_lanes(core: Core, maintenance: ModuleType) -> None:
    core.on("message")
    core.ingest(text_body("lane"))
    core.execute("UPDATE events SET accepted_at = :long_ago", long_ago=ago(60))
    core.redis.flushall()
    core.accept(text_body("journal", sender=2), at_ms=1_000_000_000_000)
    core.redis.delete("webhooks")
    maintenance.sweep_lost()
    core.ingest_waiting()
    core.run()
    assert sorted(core.seen) == ["journal", "lane"]


def test_the_sweep_of_dead_letters_makes_the_queue_equal_to_the_table(
    core: Core, maintenance: ModuleType
) -> None:
    core.ingest(b"unreadable")
    core.execute("UPDATE events SET finished_at = :long_ago", long_ago=ago(60))
    maintenance.sweep_dead_letters()
    assert core.dead_queue() == [core.value("SELECT id FROM events")]


def test_a_dead_letter_can_be_retried_by_its_message(core: Core, maintenance: ModuleType) -> None:
    core.on("message", None, core.failing("a"), max_attempts=1)
    core.ingest(text_body("a"))
    core.run()
    core.broken.clear()
    maintenance.retry_dead_letter(core.event("a").id)
    maintenance.retry_dead_letter(core.event("a").id)
    core.run()
    assert core.seen == ["a"]
    assert core.value("SELECT who FROM dead_letter_actions") == "task"
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)


def test_the_watch_of_the_backlog_keeps_a_sample(core: Core, maintenance: ModuleType) -> None:
    core.on("message")
    core.ingest(f.body(f.messages(f.text_message())))
    maintenance.watch_backlog()
    assert core.value("SELECT size FROM backlog_samples") == 1


def test_a_scheduled_run_is_skipped_right_after_another_whatever_the_wall_clocks_say(
    maintenance: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    clock = Clock()
    monkeypatch.setattr(maintenance, "time", clock)
    monkeypatch.setattr(maintenance, "_ended", {})
    monkeypatch.setattr(maintenance.sweep_due, "run", lambda: runs.append(1))
    task = maintenance.sweep_due
    task.push_request(called_directly=False)
    try:
        task()
        task()
        assert len(runs) == 1
        clock.now += 1
        task()
        assert len(runs) == 2
    finally:
        task.pop_request()
