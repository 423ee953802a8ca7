"""Lanes: the events of each conversation, run one at a time, in order.

Promises: the first event of a lane that is not final runs before any other; its effects are committed
together with its being done, at most once. Relies on Postgres for truth and on ``claims`` to keep workers from
doing the same work. It cannot see an event that has not been stored yet: one that arrives after a later one
was done runs when it arrives, marked ``late``.

The order is (occurred_at, delivery_id, position): Meta's timestamp, then what was accepted earlier, then the
place in the body.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

from sqlalchemy import Engine

from app.handlers import Event, Handler, Registry
from app.lanes.attempt import Attempt
from app.lanes.batch_sizer import Pace
from app.lanes.claims import Claim, ClaimResult, Claims
from app.lanes.lease_renewer import Held, Keeper
from app.lanes.statements import Head, LaneStatements
from app.lanes.time_limit import TimeLimitExceeded
from app.stores import event_claim, lane_claim
from app.watch import reporting
from config.logging import get_logger, hiding

SETTLE_PAUSE_SECONDS = 0.02  # between two looks at lanes whose earlier deliveries are being stored
RENEWAL_SLACK_SECONDS = 5  # a lease is renewed for this much longer than the handler may take

log = get_logger(__name__)


class Outcome(StrEnum):
    """What became of one step in a lane."""

    EMPTY = "empty"  # nothing is left to run
    WAITING = "waiting"  # the first event is not due yet; a sweep wakes the lane
    PAUSED = "paused"  # its events wait until a person resumes the conversation
    HELD = "held"  # somebody else runs it, and goes on when done
    SETTLING = "settling"  # an earlier delivery is being stored
    # Somebody else got there first, or our claim ran out: nothing of ours was committed
    OVERTAKEN = "overtaken"
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"


# After these the lane may have a next event to run at once
GOES_ON = {Outcome.DONE, Outcome.DEAD, Outcome.OVERTAKEN, Outcome.SETTLING}
REFUSED = {ClaimResult.HELD: Outcome.HELD, ClaimResult.SETTLING: Outcome.SETTLING}


@dataclass(frozen=True, slots=True)
class Step:
    """One look at a lane, and one attempt at most."""

    lane: int
    outcome: Outcome
    event_id: int | None = None
    error: str | None = None
    skipped: bool = False  # it failed, and its handler lets the lane go on meanwhile

    @property
    def lane_goes_on(self) -> bool:
        """Whether the lane may have an event to run now, so that it is worth waking again."""
        return self.outcome in GOES_ON or self.skipped


class OvertakenError(Exception):
    """The fence refused: the event is not in our attempt any more."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """Everything that running lanes needs."""

    engine: Engine
    claims: Claims
    registry: Registry
    worker: str  # who runs, as attempts and logs show it
    settle_seconds: float
    handler_time_limit_seconds: float
    announce_dead: Callable[[int], object]  # tells the queue of dead letters about an event, after its commit
    wake: Callable[[Sequence[int]], object]  # lets somebody else go on with these lanes
    pace: Pace = field(default_factory=Pace)

    @contextmanager
    def runner(self) -> Iterator["Runner"]:
        """What runs them, over one connection to Postgres. DBAPIError while Postgres is away."""
        with LaneStatements.on(self.engine) as statements, Keeper(self.claims, self.wake) as keeper:
            yield Runner(self, statements, keeper)

    def step(self, lane: int) -> Step:
        """Run the first event of the lane, if it may run now."""
        with self.runner() as runner:
            (step,) = runner.round([lane], 1)
            return step


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs lanes: a step, or a few quick ones, in each of some lanes at a time."""

    lanes: Lanes
    statements: LaneStatements
    keeper: Keeper

    def advance(self, asked: Iterable[int], budget_seconds: float) -> list[Step]:
        """Run events of these lanes until none may run, or the budget is used up; the last step of each lane.

        In rounds: the first events of each, then the next of those that go on; of how many lanes and events, the
        pace says. The lanes whose last step says ``lane_goes_on`` want to be woken again.
        """
        last: dict[int, Step] = {}
        going = list(dict.fromkeys(asked))
        stop_at = time.monotonic() + budget_seconds
        while going:
            steps = self.round(going, max(1, self.lanes.pace.events // len(going)))
            last |= {step.lane: step for step in steps}
            going = [step.lane for step in steps if step.outcome in GOES_ON]
            if time.monotonic() >= stop_at:
                break
            if going and all(last[lane].outcome is Outcome.SETTLING for lane in going):
                time.sleep(SETTLE_PAUSE_SECONDS)
                break
        return list(last.values())

    def round(self, asked: Sequence[int], count: int) -> list[Step]:
        """The last step of each lane, after at most ``count`` events of it.

        1. read the heads: the first events of each lane;
        2. claim lanes and events (Redis): the others stay away while the leases are renewed;
        3. for each event, one after the other: count the attempt, in a commit of its own, so that a worker that
           dies under an event cannot loop for ever; run the handler, and commit its effects, the attempt and
           ``done`` together, behind the fence;
        4. release the claims.

        Dying after 2 costs the lease: then a sweep finds the events pending and nobody's. What was committed in
        3 is done; the claims only delay the lanes until their leases end or the sweep comes.
        """
        found = self.statements.heads(asked, count, self.lanes.settle_seconds)
        ready = {lane: list(takewhile(_may_run, heads)) for lane, heads in found.items()}
        steps = {lane: Step(lane, _refusal(found.get(lane)) or Outcome.HELD) for lane in asked}
        try:
            steps |= {step.lane: step for step in self._claim(ready)}
            while (held := self.keeper.next()) is not None:
                steps[held.lane] = self._work(ready[held.lane])
        finally:
            self.keeper.release()
        return list(steps.values())

    def _claim(self, ready: dict[int, list[Head]]) -> list[Step]:
        """Hold what can be had; a step for each lane that cannot. Events that must wait a moment are left out."""
        claims = {lane: _claim_of(heads) for lane, heads in ready.items() if heads}
        if not claims:
            return []
        taken = self.lanes.claims.take(list(claims.values()))
        answers = list(zip(claims.items(), taken.results, strict=True))
        if taken.settling is not None:
            for lane in claims:
                ready[lane] = [*takewhile(lambda head: head.delivery_id <= str(taken.settling), ready[lane])]
        self.keeper.hold(Held(*claim) for claim, result in answers if result is ClaimResult.CLAIMED)
        return [Step(lane, REFUSED[result]) for (lane, _), result in answers if result in REFUSED]

    def _work(self, heads: Sequence[Head]) -> Step:
        """Run the events one after the other, as long as the lane goes on; there is one at least."""
        for head in heads:
            step = self._attempt(head)
            if not step.lane_goes_on:
                break
        return step

    def _attempt(self, head: Head) -> Step:
        handler = self.lanes.registry.find(head.kind, head.type)
        begun = self.statements.begin(head, self.lanes.worker, handler.name if handler else None)
        if begun is None:
            return Step(head.asked, Outcome.OVERTAKEN, head.id)
        attempt = Attempt(
            _event(head, begun.late), handler, begun.number, begun.number - head.attempts_at_retry
        )
        with hiding(head.payload):
            return self._run(head.asked, attempt)

    def _run(self, lane: int, attempt: Attempt) -> Step:
        limit = self._limit(attempt.handler)
        self.keeper.allow(limit + RENEWAL_SLACK_SECONDS)
        started = time.monotonic()
        try:
            attempt.refuse_when_exhausted()
            with self.statements.transaction() as connection:
                attempt.run(connection, limit)
                self._finish(attempt)
        except OvertakenError:
            return self._overtaken(lane, attempt)
        except (Exception, TimeLimitExceeded) as error:
            return self._failed(lane, attempt, error, time.monotonic() - started)
        seconds = time.monotonic() - started
        self.lanes.pace.note(seconds)
        outcome = "event.done" if attempt.handler else "event.unhandled"
        log.info(outcome, **attempt.fields(), seconds=round(seconds, 4))
        return Step(lane, Outcome.DONE, attempt.event.id)

    def _finish(self, attempt: Attempt) -> None:
        if not self.statements.finish(attempt.event.id, attempt.number):
            raise OvertakenError

    def _limit(self, handler: Handler | None) -> float:
        return (handler and handler.time_limit_seconds) or self.lanes.handler_time_limit_seconds

    def _failed(self, lane: int, attempt: Attempt, error: BaseException, seconds: float) -> Step:
        """Record the failure; if Postgres is away, the attempt stays open and a sweep finds the event."""
        self.lanes.pace.note(seconds)
        failure = attempt.failure(error)
        if not self.statements.fail(attempt.event.id, attempt.number, failure):
            return self._overtaken(lane, attempt)
        fields = {**attempt.fields(), "error": failure.error, "seconds": round(seconds, 4)}
        if failure.dead:
            log.error("event.dead", **fields)
            self.lanes.announce_dead(attempt.event.id)
            reporting.dead_letter(error=error, **attempt.fields())
            return Step(lane, Outcome.DEAD, attempt.event.id, failure.error)
        log.warning("event.failed_attempt", **fields, again_after_seconds=failure.after_seconds)
        reporting.failed_attempt(error=error, **attempt.fields())
        return Step(lane, Outcome.FAILED, attempt.event.id, failure.error, skipped=not failure.holds)

    def _overtaken(self, lane: int, attempt: Attempt) -> Step:
        log.warning("event.overtaken", **attempt.fields())
        return Step(lane, Outcome.OVERTAKEN, attempt.event.id)


def _may_run(head: Head) -> bool:
    return head.due and head.settled and not head.paused


def _refusal(heads: Sequence[Head] | None) -> Outcome | None:
    """Why the lane has nothing that may run now, if it has not."""
    if not heads:
        return Outcome.EMPTY
    head = heads[0]
    if head.paused:
        return Outcome.PAUSED
    if not head.due:
        return Outcome.WAITING
    return None if head.settled else Outcome.SETTLING


def _claim_of(heads: Sequence[Head]) -> Claim:
    """A lane's: of it, of those that were merged into it, and of each event."""
    first = heads[0]
    lanes = map(lane_claim, [first.lane, *first.merged])
    return Claim([*lanes, *(event_claim(head.key) for head in heads)], first.delivery_id)


def _event(head: Head, late: bool) -> Event:
    return Event(
        id=head.id,
        key=head.key,
        kind=head.kind,
        type=head.type,
        conversation=head.conversation,
        occurred_at=head.occurred_at,
        accepted_at=head.accepted_at,
        late=late,
        payload=head.payload,
    )
