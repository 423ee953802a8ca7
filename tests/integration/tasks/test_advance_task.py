"""The task ``advance``: how it ends, and which lanes it goes on with."""

import importlib
from collections.abc import Iterator
from types import ModuleType

import pytest
from celery.exceptions import Retry
from redis.exceptions import ConnectionError as RedisAwayError

from app.broker import wakes
from app.handlers import Permanent
from tests.helpers.core import Core, text_body
from tests.helpers.rows import ago
from tests.integration.tasks.support import POSTGRES_AWAY, away

pytestmark = pytest.mark.core(of_process=True)


@pytest.fixture
def lanes(core: Core) -> Iterator[ModuleType]:
    module = importlib.import_module("tasks.lanes")
    module.lanes.cache_clear()
    yield module
    module.lanes.cache_clear()


PATIENCE_SECONDS = 60  # of a busy machine


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
        core.execute("UPDATE jobs SET due_at = :later", later=ago(-60))
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
    assert all(f"job {core.event(words).id}:" in str(raised.value) for words in ("m0", "m1"))


def test_the_task_advance_says_which_jobs_it_ran_and_how_they_ended(
    core: Core, lanes: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "MORE_SECONDS", 0)
    core.on("message", None, core.failing("b", error=Permanent("no")))
    (lane,) = core.ingest(text_body("a", "b", "c")).lanes
    a, b, c = (core.event(words).id for words in "abc")
    assert lanes.advance(lane) == f"done: {a}, {c}; dead: {b}"
    assert lanes.advance(lane) is None


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
