"""Claims on a real Valkey, and the fence in Postgres that keeps the truth when a claim was lost."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app import dead_letters
from app.handlers import Context, Event, Permanent
from app.lanes.claims import Claim, ClaimResult, Claims, Taken
from app.lanes.outcome import Outcome, Step
from app.stores.delivery_id import ids
from app.stores.redis_keys import job_claim, lane_claim
from tests.helpers.core import (
    LEASE_SECONDS,
    SETTLE_SECONDS,
    WAIT_SECONDS,
    Core,
    text_body,
    write_note,
)
from tests.helpers.factories import NOW

pytestmark = pytest.mark.core(notes=True)


@pytest.fixture
def claims(core: Core) -> Claims:
    return Claims(core.redis, LEASE_SECONDS, SETTLE_SECONDS)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as executor:
        yield executor


def claim(*keys: str) -> Claim:
    return Claim(keys, ids.take(1)[0])


# Claims


def test_a_claim_is_held_by_one(claims: Claims) -> None:
    assert claims.take([claim("claim:a")]).results == [ClaimResult.CLAIMED]
    assert claims.take([claim("claim:a")]).results == [ClaimResult.CLAIMED_ELSEWHERE]


def test_a_claim_from_before_the_clock_of_redis_was_set_back_ends_within_a_lease(
    core: Core, claims: Claims
) -> None:
    core.redis.set("claim:b", "token", px=3_600_000)
    claims.take([claim("claim:a", "claim:b")])
    assert int(core.redis.pttl("claim:b")) <= LEASE_SECONDS * 1000  # type: ignore[arg-type]


def test_a_claim_takes_all_of_its_keys_or_none(core: Core, claims: Claims) -> None:
    claims.take([claim("claim:b")])
    assert claims.take([claim("claim:a", "claim:b")]).results == [ClaimResult.CLAIMED_ELSEWHERE]
    assert core.redis.exists("claim:a") == 0


def test_several_claims_are_taken_at_once_each_by_itself(claims: Claims) -> None:
    claims.take([claim("claim:b")])
    wanted = [claim("claim:a", "claim:1"), claim("claim:b"), claim("claim:1", "claim:c"), claim("claim:d")]
    assert claims.take(wanted).results == [
        ClaimResult.CLAIMED, ClaimResult.CLAIMED_ELSEWHERE, ClaimResult.CLAIMED_ELSEWHERE, ClaimResult.CLAIMED
    ]  # fmt: skip


def test_a_released_claim_can_be_taken_again(claims: Claims) -> None:
    first, second = claim("claim:a", "claim:b"), claim("claim:c")
    claims.take([first, second])
    claims.release([first, second])
    assert claims.take([claim("claim:b", "claim:a"), claim("claim:c")]).results == [ClaimResult.CLAIMED] * 2


def test_a_claim_that_somebody_else_holds_meanwhile_is_not_released(core: Core, claims: Claims) -> None:
    lost, held = claim("claim:a"), claim("claim:a")
    claims.take([lost])
    core.let_leases_run_out()
    claims.take([held])
    claims.release([lost])
    assert core.redis.get("claim:a").decode() == held.token


def test_a_claim_ends_with_its_lease(core: Core, claims: Claims) -> None:
    claims.take([claim("claim:a")])
    assert 0 < core.redis.pttl("claim:a") <= LEASE_SECONDS * 1000


def test_a_lease_that_ran_out_is_not_taken_back(core: Core, claims: Claims) -> None:
    lost, kept = claim("claim:a", "claim:b"), claim("claim:c")
    claims.take([lost, kept])
    core.redis.delete("claim:a")
    assert claims.renew([lost, kept]) == 1
    assert core.redis.exists("claim:a") == 0


# Lanes under a claim


def test_a_lane_that_another_worker_has_claimed_is_left_alone(core: Core, claims: Claims) -> None:
    core.on("message")
    (lane,) = core.ingest(text_body("first")).lanes
    claims.take([claim(lane_claim(lane))])
    assert core.step(lane).outcome is Outcome.CLAIMED_ELSEWHERE
    assert core.event("first").attempts == 0


def test_a_job_that_another_worker_has_claimed_is_left_alone(core: Core, claims: Claims) -> None:
    core.on("message")
    (lane,) = core.ingest(text_body("first")).lanes
    claims.take([claim(job_claim(core.event("first").id))])
    assert core.step(lane).outcome is Outcome.CLAIMED_ELSEWHERE


def test_no_claim_is_left_after_a_step(core: Core) -> None:
    core.on("message", None, core.failing("second"))
    (lane,) = core.ingest(text_body("first", "second")).lanes
    assert [core.step(lane).outcome for _ in range(2)] == [Outcome.DONE, Outcome.FAILED]
    assert core.redis.keys("claim:*") == []


# Two workers


class Pause:
    """A handler that stops in its first attempt until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, _event: Event, ctx: Context) -> None:
        write_note(ctx, f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            self.reached.set()
            assert self.go_on.wait(WAIT_SECONDS)


@pytest.fixture
def pause() -> Iterator[Pause]:
    pause = Pause()
    yield pause
    pause.go_on.set()


def begun(core: Core, pause: Pause, threads: ThreadPoolExecutor, lane: int) -> "Future[Step]":
    """A worker that is in the middle of its handler."""
    zombie = threads.submit(core.lanes("zombie").step, lane)
    assert pause.reached.wait(WAIT_SECONDS)
    return zombie


def test_while_a_worker_runs_an_event_others_leave_its_lane_alone(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    core.on("message", None, pause)
    (lane,) = core.ingest(text_body("first", "second")).lanes
    running = begun(core, pause, threads, lane)
    assert core.step(lane).outcome is Outcome.CLAIMED_ELSEWHERE
    pause.go_on.set()
    assert running.result(WAIT_SECONDS).outcome is Outcome.DONE


def test_a_worker_that_lost_its_claim_cannot_commit_its_effects(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    core.on("message", None, pause)
    (lane,) = core.ingest(text_body("first")).lanes
    zombie = begun(core, pause, threads, lane)
    core.let_leases_run_out()
    assert core.step(lane, worker="second").outcome is Outcome.DONE
    pause.go_on.set()
    assert zombie.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    assert core.notes() == ["attempt 2"]
    assert [(attempt.worker, attempt.finished_at is None) for attempt in core.attempts_of("first")] == [
        ("zombie", True),
        ("second", False),
    ]


def test_a_worker_that_lost_its_claim_cannot_record_its_failure(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    def fail_late(event: Event, ctx: Context) -> None:
        pause(event, ctx)
        if ctx.attempt == 1:
            raise Permanent("too late")

    core.on("message", None, fail_late)
    (lane,) = core.ingest(text_body("first")).lanes
    zombie = begun(core, pause, threads, lane)
    core.let_leases_run_out()
    assert core.step(lane).outcome is Outcome.DONE
    pause.go_on.set()
    assert zombie.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    assert (core.event("first").state, core.event("first").error, core.dead_queue()) == ("done", None, [])


def test_a_worker_that_lost_its_claim_cannot_finish_what_is_dead(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    core.on("message", None, pause, max_attempts=1)
    (lane,) = core.ingest(text_body("first")).lanes
    zombie = begun(core, pause, threads, lane)
    core.let_leases_run_out()
    assert core.step(lane).outcome is Outcome.DEAD
    pause.go_on.set()
    assert zombie.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    assert (core.event("first").state, core.notes()) == ("dead", [])


def test_a_worker_that_lost_its_claim_cannot_finish_what_a_person_retries(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    core.on("message", None, pause, max_attempts=1)
    (lane,) = core.ingest(text_body("first")).lanes
    zombie = begun(core, pause, threads, lane)
    core.let_leases_run_out()
    core.step(lane)
    dead_letters.retry(core.engine, core.redis, core.registry, [core.event("first").id], "ada")
    pause.go_on.set()
    assert zombie.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    assert (core.event("first").state, core.notes()) == ("pending", [])


def test_a_worker_that_lost_its_claim_cannot_overlap_an_earlier_event_that_arrived_meanwhile(
    core: Core, pause: Pause, threads: ThreadPoolExecutor
) -> None:
    """The fault test found it (seed 8): claims deleted under a slow handler, and another event first in the lane."""

    def run(event: Event, ctx: Context) -> None:
        if event.text == "later":
            pause(event, ctx)
        core.note(event, ctx)

    core.on("message", None, run)
    (lane,) = core.ingest(text_body("later", at=NOW)).lanes
    zombie = begun(core, pause, threads, lane)
    core.let_leases_run_out()
    core.ingest(text_body("earlier", at=NOW - 1))
    assert core.step(lane, worker="second").outcome is Outcome.DONE
    pause.go_on.set()
    assert zombie.result(WAIT_SECONDS).outcome is Outcome.STALE_ATTEMPT
    assert core.notes() == []
    core.make_due()
    assert core.step(lane).outcome is Outcome.DONE
    # The refused attempt is not counted by the handler's policy
    assert (core.notes(), core.event("later").attempts, core.event("later").late) == (["attempt 1"], 2, False)


def test_of_two_workers_that_read_the_same_head_one_runs_it(core: Core, threads: ThreadPoolExecutor) -> None:
    core.on("message", None, lambda event, ctx: write_note(ctx, event.text or ""))
    both_read = threading.Barrier(2)

    class Reading(Claims):
        def take(self, claims: Sequence[Claim]) -> Taken:
            both_read.wait(WAIT_SECONDS)
            return Taken(
                [ClaimResult.CLAIMED for _ in claims], None
            )  # as if the lease of the other had just run out

    (lane,) = core.ingest(text_body("first")).lanes
    workers = [core.lanes(f"worker {number}") for number in range(2)]
    for worker in workers:
        object.__setattr__(worker, "claims", Reading(core.redis, LEASE_SECONDS, SETTLE_SECONDS))
    steps = [threads.submit(worker.step, lane) for worker in workers]
    outcomes = sorted(step.result(WAIT_SECONDS).outcome for step in steps)
    assert outcomes == [Outcome.DONE, Outcome.STALE_ATTEMPT]
    assert core.notes() == ["first"]
