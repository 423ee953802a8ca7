"""Runs lanes in rounds: the first events of each, then the next of those that have more."""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from app.lanes.agenda import Agenda
from app.lanes.batch_sizer import BatchSizer
from app.lanes.claimed import ClaimedLane
from app.lanes.claims import Claim, ClaimResult, Claims
from app.lanes.execution import Execution
from app.lanes.group import Group
from app.lanes.lease_renewer import LeaseRenewer
from app.lanes.outcome import HAS_MORE, Outcome, Step
from app.lanes.rows import Head
from app.lanes.statements import LaneStatements
from app.stores import STORE_ERRORS, Fault, job_claim, judge, lane_claim
from config.logging import get_logger

PAUSE_SECONDS = 0.01  # between two looks at what is about to be stored
SETTLING_SECONDS = 0.1  # that a process waits for it; after that the lanes are woken behind others
LAST = "~"  # sorts after every delivery id
REFUSED = {
    ClaimResult.CLAIMED_ELSEWHERE: Outcome.CLAIMED_ELSEWHERE,
    ClaimResult.AWAITING_EARLIER: Outcome.AWAITING_EARLIER,
}
STORE_WIDE_FAULTS = {Fault.AWAY, Fault.CONNECTION, Fault.SCHEMA}

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs lanes: a step, or a few quick ones, in each of some lanes at a time."""

    statements: LaneStatements
    claims: Claims
    renewer: LeaseRenewer
    execution: Execution
    group: Group
    batch_sizer: BatchSizer
    settle_seconds: float
    record_unknown: Callable[
        [Iterable[str]], object
    ]  # called with the names of handlers that are not known here

    def advance(self, asked: Iterable[int], budget_seconds: float) -> list[Step]:
        """Run events of these lanes until none may run, or the budget is used up; return the last step of each lane.

        ``batch_sizer`` says how many events of how many lanes make a round. The lanes whose last step says
        ``has_more`` want to be woken again.
        """
        last: dict[int, Step] = {}
        waiting: dict[int, Step] = {}  # lanes that wait for a delivery that is about to be stored
        lanes = list(dict.fromkeys(asked))
        stop_at = time.monotonic() + budget_seconds
        while lanes:
            steps = self.round(lanes, max(1, self.batch_sizer.size // len(lanes)), stop_at)
            steps = [_left_to_the_sweep(step, last.get(step.lane)) for step in steps]
            last |= {step.lane: step for step in steps}
            waiting |= {step.lane: step for step in steps if step.outcome is Outcome.AWAITING_EARLIER}
            lanes = [step.lane for step in steps if step.outcome in HAS_MORE and step.lane not in waiting]
            if time.monotonic() >= stop_at:
                break
            if waiting:
                go_on = self._settled(waiting.values(), 0 if lanes else SETTLING_SECONDS)
                lanes += go_on
                waiting = {lane: step for lane, step in waiting.items() if lane not in go_on}
        return list(last.values())

    def _settled(self, waiting: Iterable[Step], seconds: float) -> list[int]:
        """Wait until what was accepted before the events of some lanes is stored; return these lanes.

        Empty if that is so for none after ``seconds``. Asks Redis alone: while a backlog is stored, reading the heads
        again and again would cost Postgres more than running them does.
        """
        stop_at = time.monotonic() + seconds
        while True:
            awaited = self.claims.take([]).awaiting or LAST
            settled = [step.lane for step in waiting if step.delivery_id and step.delivery_id <= awaited]
            if settled or time.monotonic() >= stop_at:
                return settled
            time.sleep(PAUSE_SECONDS)

    def round(self, asked: Sequence[int], count: int, stop_at: float = math.inf) -> list[Step]:
        """Run at most ``count`` events of each lane, and begin none after ``stop_at`` but the first; the last steps.

        1. read the heads: the first events of each lane;
        2. claim lanes and events in Redis: other workers stay away while the leases are renewed;
        3. execute the events one after the other, see ``Execution.execute``, or in groups, see ``Group.execute``;
        4. release the claims.

        Dying after 2 costs the lease: then a sweep finds the events pending and unclaimed. What was committed in 3 is
        done; the claims only delay the lanes until their leases end or the sweep comes.
        """
        heads = self.statements.heads(asked, count, self.settle_seconds)
        ready = {lane: list(takewhile(self._may_run, each)) for lane, each in heads.items()}
        steps = {
            lane: Step(lane, self._refusal(heads.get(lane)) or Outcome.CLAIMED_ELSEWHERE) for lane in asked
        }
        self._record_unknown(heads, steps)
        try:
            steps |= {step.lane: step for step in self._claim(ready)}
            agenda = Agenda(self.renewer, ready, stop_at, self.group.may_share)
            turn = agenda.next()
            while turn:
                ran = self._run(turn, agenda)
                steps |= {step.lane: step for step in ran}
                turn = agenda.next([step.lane for step in ran if step.has_more], self.execution.begun)
        finally:
            self.renewer.release()
        return list(steps.values())

    def _claim(self, ready: dict[int, list[Head]]) -> list[Step]:
        """Claim the lanes; return a step for each that could not be. Removes events that must wait a moment."""
        claims = {lane: _claim_of(heads) for lane, heads in ready.items() if heads}
        if not claims:
            return []
        taken = self.claims.take(list(claims.values()))
        answers = list(zip(claims.items(), taken.results, strict=True))
        if taken.awaiting is not None:
            for lane in claims:
                ready[lane] = [*takewhile(lambda head: head.delivery_id <= str(taken.awaiting), ready[lane])]
        self.renewer.add(ClaimedLane(*claim) for claim, result in answers if result is ClaimResult.CLAIMED)
        return [
            Step(lane, REFUSED[result], delivery_id=claim.delivery_id)
            for (lane, claim), result in answers
            if result in REFUSED
        ]

    def _run(self, heads: Sequence[Head], agenda: Agenda) -> list[Step]:
        """Run a job, or a group; an error of its own does not reach the other lanes of the round.

        Raises what concerns all lanes: a store is away, or the connection died.
        """
        try:
            if len(heads) == 1:
                return [self.execution.execute(heads[0], agenda.look_ahead)]
            steps = self.group.execute(heads, agenda.look_ahead)
        except Exception as error:
            store_wide = isinstance(error, STORE_ERRORS) and judge(error) in STORE_WIDE_FAULTS
            if store_wide or not self.statements.usable:
                raise
            lanes = [head.asked for head in heads]
            log.exception("lane.failed", lanes=lanes, error=type(error).__name__)
            return [Step(lane, Outcome.INTERRUPTED) for lane in lanes]
        ran = {step.lane for step in steps}
        return steps + [step for head in heads if head.asked not in ran for step in self._run([head], agenda)]

    def _may_run(self, head: Head) -> bool:
        return head.due and head.settled and not head.paused and self.execution.handler_of(head) is not None

    def _refusal(self, heads: Sequence[Head] | None) -> Outcome | None:
        """Return why no event of the lane may run now; None if one may."""
        if not heads:
            return Outcome.EMPTY
        head = heads[0]
        if head.paused:
            return Outcome.PAUSED
        if not head.due:
            return Outcome.WAITING
        if self.execution.handler_of(head) is None:
            return Outcome.UNKNOWN_HANDLER
        return None if head.settled else Outcome.AWAITING_EARLIER

    def _record_unknown(self, heads: dict[int, list[Head]], steps: dict[int, Step]) -> None:
        unknown = [lane for lane, step in steps.items() if step.outcome is Outcome.UNKNOWN_HANDLER]
        if unknown:
            self.record_unknown(heads[lane][0].handler for lane in unknown)


def _left_to_the_sweep(step: Step, before: Step | None) -> Step:
    """Return the step, or WAITING if its event was refused twice in a row: another try would change nothing."""
    stale = before is not None and before.outcome is step.outcome is Outcome.STALE_ATTEMPT
    if stale and before is not None and before.job_id == step.job_id:
        return Step(step.lane, Outcome.WAITING, step.job_id)
    return step


def _claim_of(heads: Sequence[Head]) -> Claim:
    """Return a lane's claim: on it, on the lanes that were merged into it, and on each event."""
    first = heads[0]
    lanes = map(lane_claim, [first.lane, *first.merged])
    return Claim([*lanes, *(job_claim(head.id) for head in heads)], first.delivery_id)
