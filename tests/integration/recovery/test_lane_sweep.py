"""Lanes whose wake was lost are woken again, in turn."""

from typing import Any

import pytest

from app.broker import wakes
from app.recovery import lost_wakes, sweeper
from app.recovery.redis_time import now_ms
from app.stores.models import JobState
from app.stores.redis_keys import WAKES, lane_claim
from config.celery import CONVERSATIONS
from tests.helpers.core import LEASE_SECONDS, Core
from tests.helpers.rows import add_events, ago
from tests.integration.recovery.sweeps import GRACE_SECONDS, HOUR_MS, OLD_MS

pytestmark = pytest.mark.core(messages="noted")


# Lanes


def sweep_lanes(core: Core) -> int:
    return sweeper.sweep_lanes(core.engine, core.redis, GRACE_SECONDS, LEASE_SECONDS)


def lanes_waiting(core: Core, count: int = 1, **different: Any) -> list[int]:
    """Lanes with an event that has been pending for longer than the grace."""
    ids = add_events(core.engine, count, accepted_at=ago(GRACE_SECONDS + 1), **different)
    return [
        row.lane for row in core.rows("SELECT lane FROM event_jobs WHERE id = ANY(:ids) ORDER BY id", ids=ids)
    ]


def make_wakes_old(core: Core) -> None:
    for lane, since in core.redis.zrange(WAKES, 0, -1, withscores=True):
        core.redis.zadd(WAKES, {lane: since - OLD_MS})


def test_a_lane_that_lost_its_wake_is_woken_again_once(core: Core) -> None:
    lanes = lanes_waiting(core, 3)
    assert [sweep_lanes(core), sweep_lanes(core)] == [3, 0]
    assert core.wakes_in_queue() == lanes


def test_a_lane_whose_wake_waits_in_the_queue_is_not_woken_again(core: Core) -> None:
    lanes = lanes_waiting(core, 3)
    wakes.wake(core.redis, lanes)
    make_wakes_old(core)
    assert sweep_lanes(core) == 0


def test_a_lane_whose_message_was_lost_is_woken_again(core: Core) -> None:
    lost, waiting = lanes_waiting(core, 2)
    wakes.wake(core.redis, [lost])
    make_wakes_old(core)
    core.redis.rpop(CONVERSATIONS)
    wakes.wake(core.redis, [waiting])
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [waiting, lost]


def test_a_wake_of_just_now_is_not_taken_for_lost(core: Core) -> None:
    wakes.wake(core.redis, lanes_waiting(core))
    core.redis.delete(CONVERSATIONS)  # a worker has taken it and not said so yet
    assert sweep_lanes(core) == 0


def test_an_event_that_was_accepted_while_a_clock_was_ahead_is_old_enough(core: Core) -> None:
    add_events(core.engine, accepted_at=ago(-3600))
    assert sweep_lanes(core) == 1


def test_a_claim_from_before_the_clock_of_redis_was_set_back_ends_within_a_lease(core: Core) -> None:
    (lane,) = lanes_waiting(core)
    core.redis.set(lane_claim(lane), "token", px=int(HOUR_MS))
    assert sweep_lanes(core) == 0
    assert int(core.redis.pttl(lane_claim(lane))) <= LEASE_SECONDS * 1000  # type: ignore[arg-type]


def test_a_lane_that_somebody_works_on_is_left_alone(core: Core) -> None:
    claimed, free = lanes_waiting(core, 2)
    core.redis.set(lane_claim(claimed), "token")
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [free]


@pytest.mark.parametrize(
    "different",
    [{"due_at": ago(-60)}, {"state": JobState.DONE}, {"state": JobState.DEAD}],
    ids=["waits for its next attempt", "done", "dead"],
)
def test_a_lane_without_work_is_left_alone(core: Core, different: dict[str, Any]) -> None:
    lanes_waiting(core, **different)
    assert sweep_lanes(core) == 0


def test_a_lane_is_due_when_its_next_attempt_is(core: Core) -> None:
    (due,) = lanes_waiting(core, due_at=ago(1))
    lanes_waiting(core, due_at=ago(-60))
    lanes_waiting(core)
    with core.engine.connect() as connection:
        assert sweeper.due_lanes(connection) == [due]


def test_many_lanes_are_swept_in_parts(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "KEYS_A_CALL", 2)
    lanes = lanes_waiting(core, 5)
    assert sweep_lanes(core) == 5
    assert core.wakes_in_queue() == lanes


def test_lanes_are_looked_through_as_long_as_many_are_lost(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    lanes = lanes_waiting(core, 5)
    assert sweep_lanes(core) == 5
    assert sorted(core.wakes_in_queue()) == lanes


def test_a_lost_lane_behind_many_that_merely_wait_is_found_in_its_turn(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    lanes = lanes_waiting(core, 5)
    wakes.wake(core.redis, lanes[:4])
    assert [sweep_lanes(core) for _ in range(4)] == [0, 0, 1, 0]
    core.redis.zrem(WAKES, lanes[1])
    assert sum(sweep_lanes(core) for _ in range(3)) == 1


def test_a_lane_of_many_old_events_hides_no_younger_one(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    (hot,) = set(lanes_waiting(core, 50, lane=1))
    (lost,) = lanes_waiting(core, lane=2)
    core.redis.set(lane_claim(hot), "token")
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [lost]


def test_a_lane_whose_first_event_waits_for_its_next_attempt_is_left_alone(core: Core) -> None:
    (lane,) = lanes_waiting(core, due_at=ago(-60), occurred_at=ago(100))
    lanes_waiting(core, 3, lane=lane)
    assert sweep_lanes(core) == 0
    core.execute("UPDATE jobs SET holds = false WHERE due_at IS NOT NULL")
    assert sweep_lanes(core) == 1


# Redis's clock was set back: what is there is dated an hour ahead


def test_a_lost_wake_that_is_dated_an_hour_ahead_is_forgotten_after_the_grace(core: Core) -> None:
    core.redis.zadd(WAKES, {"7": now_ms(core.redis) + HOUR_MS})
    assert lost_wakes.remove_lost_wakes(core.redis, GRACE_SECONDS) == 0
    assert lost_wakes.remove_lost_wakes(core.redis, 0) == 1
