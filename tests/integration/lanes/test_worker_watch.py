"""What a dead worker had claimed is released at once, and nothing of one that lives."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError

from app.handlers import Registry
from app.lanes.claim_holder import WORKER, ClaimHolder
from app.lanes.claims import Claim, ClaimResult, Claims
from app.lanes.lost_claims import held_by, release
from app.lanes.outcome import Outcome
from app.lanes.worker_watch import (
    REMOVED_AFTER_SECONDS,
    WORKER_SILENT_SECONDS,
    Release,
    WorkerWatch,
    pool_processes,
)
from app.stores import BEATS
from app.stores.delivery_id import ids
from app.stores.redis_keys import CLAIM_PREFIX, lane_claim
from tests.helpers.core import LEASE_SECONDS, SETTLE_SECONDS, Core, text_body

pytestmark = pytest.mark.core(messages="noted")
OWN, OTHER = ClaimHolder("worker-a", 11), ClaimHolder("worker-b", 22)
SECONDS_BETWEEN_LOOKS = 1.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def claims_of(core: Core, holder: ClaimHolder) -> Claims:
    return Claims(core.redis, LEASE_SECONDS, SETTLE_SECONDS, holder)


def hold(core: Core, holder: ClaimHolder, *lanes: int) -> list[Claim]:
    held = [Claim([lane_claim(lane)], ids.take(1)[0]) for lane in lanes]
    taken = claims_of(core, holder).take(held)
    assert taken.results == [ClaimResult.CLAIMED] * len(lanes)
    return held


def watch(
    core: Core,
    clock: Clock,
    living: Collection[int] | None = (OWN.process,),
    releases: Sequence[Release] = (),
) -> WorkerWatch:
    return WorkerWatch(core.engine, core.redis, lambda: living, OWN.worker, clock, releases)


def claimed(core: Core) -> list[str]:
    return sorted(key.decode() for key in core.redis.keys(f"{CLAIM_PREFIX}*"))


def look_for(
    watching: WorkerWatch, clock: Clock, seconds: float, between: Callable[[], object] = int
) -> None:
    """Look each second, and let something happen before each look."""
    end_at = clock.now + seconds
    while clock.now < end_at:
        clock.now += SECONDS_BETWEEN_LOOKS
        between()
        watching.look()


def beat(core: Core, holder: ClaimHolder) -> None:
    core.redis.hincrby(BEATS, holder.worker, 1)


def test_what_a_dead_pool_process_had_is_released_by_its_own_worker_and_woken(
    core: Core, clock: Clock
) -> None:
    hold(core, OWN, 1)
    hold(core, replace(OWN, process=12), 2, 3)
    watch(core, clock).look()
    assert claimed(core) == [lane_claim(1)]
    assert core.wakes_in_queue() == [2, 3]


def test_a_pool_of_threads_has_no_processes_to_miss(core: Core, clock: Clock) -> None:
    hold(core, OWN, 1)
    watch(core, clock, None).look()
    assert claimed(core) == [lane_claim(1)]


def test_what_is_released_is_not_in_the_list_any_more(core: Core) -> None:
    held = hold(core, OWN, 1, 2)
    claims_of(core, OWN).release(held)
    assert held_by(core.redis, OWN.worker) == []


def test_a_lost_claim_leaves_what_another_process_of_the_worker_holds_now(core: Core) -> None:
    lost = hold(core, OWN, 1)
    core.redis.delete(lane_claim(1))
    hold(core, replace(OWN, process=12), 1)
    claims_of(core, OWN).release(lost)
    assert [held.process for held in held_by(core.redis, OWN.worker)] == ["12"]
    assert claimed(core) == [lane_claim(1)]


def test_what_a_silent_worker_had_is_released_by_another(core: Core, clock: Clock) -> None:
    hold(core, OTHER, 1)
    beat(core, OTHER)
    watching = watch(core, clock)
    watching.look()
    look_for(watching, clock, WORKER_SILENT_SECONDS)
    assert claimed(core) == []
    assert core.wakes_in_queue() == [1]


def test_a_worker_that_beats_keeps_what_its_pool_has_however_long_it_takes(core: Core, clock: Clock) -> None:
    hold(core, OTHER, 1)
    look_for(watch(core, clock), clock, 60, partial(beat, core, OTHER))
    assert claimed(core) == [lane_claim(1)]


def test_a_pool_process_that_outlives_its_main_process_keeps_what_it_has(core: Core, clock: Clock) -> None:
    hold(core, OTHER, 1)
    beat(core, OTHER)
    watching = watch(core, clock)
    look_for(watching, clock, 60, claims_of(core, OTHER).beat)
    assert claimed(core) == [lane_claim(1)]
    look_for(watching, clock, WORKER_SILENT_SECONDS)
    assert claimed(core) == []


def test_who_claims_something_new_is_alive(core: Core, clock: Clock) -> None:
    hold(core, OTHER, 1)
    beat(core, OTHER)
    lanes = iter(range(2, 100))
    look_for(watch(core, clock), clock, 30, lambda: hold(core, OTHER, next(lanes)))
    assert lane_claim(1) in claimed(core)


def test_a_process_that_beats_while_it_is_judged_loses_nothing(core: Core) -> None:
    hold(core, OTHER, 1)
    (seen,) = held_by(core.redis, OTHER.worker)
    claims_of(core, OTHER).beat()
    assert release(core.engine, core.redis, seen) == 0
    assert claimed(core) == [lane_claim(1)]


def test_who_was_away_itself_judges_nobody_by_that_time(core: Core, clock: Clock) -> None:
    hold(core, OTHER, 1)
    beat(core, OTHER)
    watching = watch(core, clock)
    watching.look()
    clock.now += 3600
    watching.look()
    assert claimed(core) == [lane_claim(1)]


def test_what_else_is_to_be_released_is_told_once_for_each_process_or_worker_that_is_gone(
    core: Core, clock: Clock
) -> None:
    told: list[tuple[str, Collection[int] | None]] = []
    pool = [1, 2]
    beat(core, OTHER)
    away = True

    def release(_engine: object, _redis: object, worker: str, processes: Collection[int] | None) -> None:
        if away:
            raise OperationalError("", None, Exception("Postgres is away"))
        told.append((worker, processes))

    watching = watch(core, clock, pool, [release])
    watching.look()
    pool.remove(1)
    look_for(watching, clock, 2)
    assert told == []
    away = False
    look_for(watching, clock, WORKER_SILENT_SECONDS + 2)
    assert told == [(OWN.worker, {1}), (OTHER.worker, None)]
    look_for(watching, clock, 2, partial(beat, core, OTHER))
    look_for(watching, clock, WORKER_SILENT_SECONDS + 2)
    assert told[2:] == [(OTHER.worker, None)]


def test_a_worker_that_ended_with_nothing_in_its_hands_is_watched_no_more(core: Core, clock: Clock) -> None:
    beat(core, OTHER)
    watching = watch(core, clock)
    watching.look()
    look_for(watching, clock, REMOVED_AFTER_SECONDS + 1)
    assert set(core.redis.hkeys(BEATS)) == {OWN.worker.encode()}  # type: ignore[arg-type]


def killed_in(core: Core, lane: int) -> None:
    """A pool process begins the lane's first job, and dies of it; its worker sees that."""
    core.kill_worker_in(lane)
    (held,) = held_by(core.redis, WORKER)
    core.redis.delete("conversations", "lanes:woken")
    release(core.engine, core.redis, held)


def test_a_killed_job_runs_again_at_once_and_one_that_kills_each_worker_after_a_pause(core: Core) -> None:
    (lane,) = core.ingest(text_body("hello")).lanes
    killed_in(core, lane)
    assert core.wakes_in_queue() == [lane]
    killed_in(core, lane)
    assert core.step(lane).outcome is Outcome.WAITING
    core.make_due()
    assert core.step(lane).outcome is Outcome.DONE
    assert [attempt.finished_at is None for attempt in core.attempts_of("hello")] == [True, True, False]


def test_a_stopped_worker_that_comes_back_commits_nothing(core: Core) -> None:
    (lane,) = core.ingest(text_body("hello")).lanes

    def be_taken_for_dead(event: object, ctx: object) -> None:
        (held,) = held_by(core.redis, WORKER)
        assert release(core.engine, core.redis, held) == len(held.claims)
        assert core.step(lane, worker="other").outcome is Outcome.DONE

    stopped = Core(
        Registry({key: replace(h, function=be_taken_for_dead) for key, h in core.registry.handlers.items()})
    )
    assert stopped.step(lane, worker="stopped").outcome is Outcome.STALE_ATTEMPT
    assert core.seen == ["hello"]


def test_the_processes_of_a_pool_are_those_that_celery_names() -> None:
    assert pool_processes(SimpleNamespace(info={"processes": [1, 2]})) == {1, 2}
    assert pool_processes(SimpleNamespace(info={"threads": 2})) is None
