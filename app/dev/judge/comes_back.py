"""It comes back by itself: checks that work goes on after each fault, and what was interrupted runs. Pure: no I/O."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.dev.judge.facts import Facts, PastFault
from app.dev.judge.records import StoredAttempt
from app.dev.judge.verdict import Violation

RETURN_SECONDS = 60.0  # from the end of a fault until work goes on
RERUN_SECONDS = 45.0  # from a worker's death until what it was in the middle of runs again
RECONNECT_SECONDS = 6.0  # after an outage: consumers try again after 2, 4 and 6 s


@dataclass(frozen=True, slots=True)
class Interruption:
    """An attempt whose worker died or was stopped while it ran.

    ``again`` and ``done`` are seconds from the fault to the next attempt and to the event's end; ``away`` is for how
    long a store or beat was away in between, or just back, which no recovery can be faster than.
    """

    key: str
    kind: str
    again: float | None
    done: float | None
    away: float

    @property
    def in_time(self) -> bool:
        return self.again is not None and self.again - self.away <= RERUN_SECONDS


def interrupted_events_run_again(facts: Facts) -> Iterator[Violation | None]:
    """What a killed or stopped worker had in its hands runs again within RERUN_SECONDS, outages aside."""
    for interruption in interruptions(facts):
        if interruption.in_time:
            yield None
        elif interruption.again is None:
            yield Violation(f"never ran again: {interruption.key}", (interruption.key,))
        else:
            sentence = f"ran again only after {interruption.again:.0f} s: {interruption.key}"
            yield Violation(sentence, (interruption.key,))


def work_goes_on(facts: Facts) -> Iterator[Violation | None]:
    """After each fault something that waits is completed in each lane name within RETURN_SECONDS.

    Outages by others are left out.
    """
    for each in returns(facts):
        if each.seconds is None:
            yield Violation(f"nothing was completed in {each.lane_name} after {each.kind} had ended")
        elif each.seconds > RETURN_SECONDS:
            yield Violation(
                f"nothing was completed in {each.lane_name} for {each.seconds:.0f} s after {each.kind} had ended"
            )
        else:
            yield None


@dataclass(frozen=True, slots=True)
class Return:
    """From the end of a fault, or from when something waited after it, to the next job that was completed.

    Of all lane names the one that took longest. ``seconds`` leave out for how long other faults took a store or beat
    away; None: nothing was completed any more.
    """

    kind: str
    lane_name: str
    seconds: float | None


def returns(facts: Facts) -> list[Return]:
    """Return one for each fault after which something was left to be done."""
    lane_names = {lane_name for planned in facts.expected for lane_name in planned.lane_names}
    lanes = [_Lane.of(facts, lane_name) for lane_name in sorted(lane_names)]
    found = []
    for fault in facts.faults:
        waits = ((lane, lane.waiting_since(fault.ended_at)) for lane in lanes)
        each = [_return(facts, fault, since, lane) for lane, since in waits if since is not None]
        if each:
            found.append(max(each, key=lambda one: math.inf if one.seconds is None else one.seconds))
    return found


@dataclass(frozen=True, slots=True)
class _Lane:
    """All lanes of a name: when a job was completed, sorted, and for each acknowledged event since and until when."""

    name: str
    completed: list[float]
    waits: list[tuple[float, float | None]]

    @classmethod
    def of(cls, facts: Facts, name: str) -> "_Lane":
        completed = [job.finished_at for job in facts.jobs if job.lane_name == name and job.finished_at]
        waits = []
        for key, acceptance in facts.posted.items():
            if acceptance.latest is not None and name in acceptance.event.lane_names:
                ends = [job.finished_at for job in facts.live_jobs(key) if job.lane_name == name]
                waits.append((acceptance.latest, ends[0] if ends else None))
        return cls(name, sorted(completed), waits)

    def waiting_since(self, moment: float) -> float | None:
        """From when on an event waited that was not completed at a moment; None if there was none."""
        left = (max(since, moment) for since, until in self.waits if until is None or until > moment)
        return min(left, default=None)


def _return(facts: Facts, fault: PastFault, since: float, lane: _Lane) -> Return:
    index = bisect_right(lane.completed, since)
    if index == len(lane.completed):
        return Return(fault.kind, lane.name, None)
    completed = lane.completed[index]
    outages = (
        (each.began_at, each.ended_at) for each in facts.faults if each.takes_away and each is not fault
    )
    return Return(fault.kind, lane.name, completed - since - _covered(outages, since, completed))


def interruptions(facts: Facts) -> list[Interruption]:
    """Return every attempt that was under way in a process when a fault killed or stopped it."""
    return [
        _interruption(facts, attempt, fault) for fault in facts.faults for attempt in _under_way(facts, fault)
    ]


def _under_way(facts: Facts, fault: PastFault) -> Iterator[StoredAttempt]:
    for attempt in facts.attempts:
        hit = fault.pids is None or attempt.pid in fault.pids
        if hit and attempt.finished_at is None and attempt.started_at <= fault.began_at:
            again = _next(facts, attempt)
            if again is None or again.started_at > fault.began_at:
                yield attempt


def _interruption(facts: Facts, attempt: StoredAttempt, fault: PastFault) -> Interruption:
    job = facts.job_by_id[attempt.job_id]
    again = _next(facts, attempt)
    until = again.started_at if again else fault.began_at
    outages = ((each.began_at, each.ended_at + RECONNECT_SECONDS) for each in facts.faults if each.takes_away)
    return Interruption(
        key=facts.event(job).key,
        kind=fault.kind,
        again=again.started_at - fault.began_at if again else None,
        done=job.finished_at - fault.began_at if job.finished_at else None,
        away=_covered(outages, fault.began_at, until),
    )


def _next(facts: Facts, attempt: StoredAttempt) -> StoredAttempt | None:
    later = (each for each in facts.attempts_of[attempt.job_id] if each.number > attempt.number)
    return next(later, None)


def _covered(spans: Iterable[tuple[float, float]], since: float, until: float) -> float:
    """Return the seconds between two times that lie within at least one of the spans."""
    covered, total = since, 0.0
    for began_at, ended_at in sorted(spans):
        begin, end = max(began_at, covered), min(ended_at, until)
        if end > begin:
            total, covered = total + end - begin, end
    return total
