"""Runs lanes in rounds: the first events of each, then the next of those that have more."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from app.lanes.batch_sizer import BatchSizer
from app.lanes.claimed import ClaimedLane
from app.lanes.claims import Claim, ClaimResult, Claims
from app.lanes.execution import Execution
from app.lanes.lease_renewer import LeaseRenewer
from app.lanes.outcome import HAS_MORE, Outcome, Step
from app.lanes.statements import Head, LaneStatements
from app.stores import event_claim, lane_claim

PAUSE_SECONDS = 0.02  # between two looks at lanes whose earlier deliveries are about to be stored
REFUSED = {
    ClaimResult.CLAIMED_ELSEWHERE: Outcome.CLAIMED_ELSEWHERE,
    ClaimResult.AWAITING_EARLIER: Outcome.AWAITING_EARLIER,
}


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs lanes: a step, or a few quick ones, in each of some lanes at a time."""

    statements: LaneStatements
    claims: Claims
    renewer: LeaseRenewer
    execution: Execution
    batch_sizer: BatchSizer
    settle_seconds: float

    def advance(self, asked: Iterable[int], budget_seconds: float) -> list[Step]:
        """Run events of these lanes until none may run, or the budget is used up; return the last step of each lane.

        ``batch_sizer`` says how many events of how many lanes make a round. The lanes whose last step says
        ``has_more`` want to be woken again.
        """
        last: dict[int, Step] = {}
        lanes = list(dict.fromkeys(asked))
        stop_at = time.monotonic() + budget_seconds
        while lanes:
            steps = self.round(lanes, max(1, self.batch_sizer.size // len(lanes)))
            steps = [_left_to_the_sweep(step, last.get(step.lane)) for step in steps]
            last |= {step.lane: step for step in steps}
            lanes = [step.lane for step in steps if step.outcome in HAS_MORE]
            if time.monotonic() >= stop_at:
                break
            if lanes and all(last[lane].outcome is Outcome.AWAITING_EARLIER for lane in lanes):
                time.sleep(PAUSE_SECONDS)
                break
        return list(last.values())

    def round(self, asked: Sequence[int], count: int) -> list[Step]:
        """Run at most ``count`` events of each lane; return the last step of each.

        1. read the heads: the first events of each lane;
        2. claim lanes and events in Redis: other workers stay away while the leases are renewed;
        3. execute the events one after the other, see ``Execution.execute``;
        4. release the claims.

        Dying after 2 costs the lease: then a sweep finds the events pending and unclaimed. What was committed in 3 is
        done; the claims only delay the lanes until their leases end or the sweep comes.
        """
        heads = self.statements.heads(asked, count, self.settle_seconds)
        ready = {lane: list(takewhile(_may_run, each)) for lane, each in heads.items()}
        steps = {lane: Step(lane, _refusal(heads.get(lane)) or Outcome.CLAIMED_ELSEWHERE) for lane in asked}
        try:
            steps |= {step.lane: step for step in self._claim(ready)}
            while (claimed := self.renewer.start_next()) is not None:
                steps[claimed.lane] = self._run(ready[claimed.lane])
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
        return [Step(lane, REFUSED[result]) for (lane, _), result in answers if result in REFUSED]

    def _run(self, heads: Sequence[Head]) -> Step:
        """Run the events one after the other, as long as the lane has more; there is one at least."""
        for head in heads:
            step = self.execution.execute(head)
            if not step.has_more:
                break
        return step


def _left_to_the_sweep(step: Step, before: Step | None) -> Step:
    """Return the step, or WAITING if its event was refused twice running: asking on at once would change nothing."""
    stale = before is not None and before.outcome is step.outcome is Outcome.STALE_ATTEMPT
    if stale and before is not None and before.event_id == step.event_id:
        return Step(step.lane, Outcome.WAITING, step.event_id)
    return step


def _may_run(head: Head) -> bool:
    return head.due and head.settled and not head.paused


def _refusal(heads: Sequence[Head] | None) -> Outcome | None:
    """Return why no event of the lane may run now; None if one may."""
    if not heads:
        return Outcome.EMPTY
    head = heads[0]
    if head.paused:
        return Outcome.PAUSED
    if not head.due:
        return Outcome.WAITING
    return None if head.settled else Outcome.AWAITING_EARLIER


def _claim_of(heads: Sequence[Head]) -> Claim:
    """Return a lane's claim: on it, on the lanes that were merged into it, and on each event."""
    first = heads[0]
    lanes = map(lane_claim, [first.lane, *first.merged])
    return Claim([*lanes, *(event_claim(head.key) for head in heads)], first.delivery_id)
