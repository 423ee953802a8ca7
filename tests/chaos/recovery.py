"""From each fault until the next event was completed, and until the one it interrupted ran again. Pure: no I/O."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from tests.chaos.facts import Attempt, Facts
from tests.chaos.schedule import Happened, Kind

WORST_SECONDS = 45.0  # from a worker's death until what it was in the middle of runs again
RECONNECT_SECONDS = 6.0  # after an outage: consumers try again after 2, 4 and 6 s


@dataclass(frozen=True, slots=True)
class Span:
    """From a fault, and from its end, to the first event completed after it; None: there was none."""

    kind: str
    at: float
    seconds: float | None
    after_its_end: float | None


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An attempt whose worker died or was stopped under it.

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
        return self.again is not None and self.again - self.away <= WORST_SECONDS


def spans(facts: Facts, happened: Sequence[Happened]) -> list[Span]:
    """One for each fault."""
    finished = sorted(event.finished_at for event in facts.events if event.finished_at is not None)
    found = []
    for event in happened:
        until = event.until or event.at
        after, after_its_end = _until_next(finished, event.at), _until_next(finished, until)
        found.append(Span(event.fault.kind, event.at, after, after_its_end))
    return found


def _until_next(finished: Sequence[float], moment: float) -> float | None:
    """Seconds from a moment to the first of some sorted times after it."""
    place = bisect_right(finished, moment)
    return finished[place] - moment if place < len(finished) else None


def by_kind(found: Sequence[Span], *, from_its_end: bool = False) -> dict[str, tuple[int, float, float]]:
    """Kind → how many, median and worst seconds, from the begin of the fault or from its end."""
    groups: dict[str, list[float]] = {}
    for span in found:
        seconds = span.after_its_end if from_its_end else span.seconds
        if seconds is not None:
            groups.setdefault(span.kind, []).append(seconds)
    return {kind: (len(each), median(each), max(each)) for kind, each in sorted(groups.items())}


def interrupted(facts: Facts, happened: Sequence[Happened], known: Mapping[str, Kind]) -> list[Interrupted]:
    """Every attempt that was under way in a process when a fault killed or stopped it."""
    return [
        _interrupted(facts, attempt, event, happened, known)
        for event in happened
        for attempt in _under_way(facts, event)
    ]


def _under_way(facts: Facts, event: Happened) -> Iterator[Attempt]:
    for attempt in facts.attempts:
        if attempt.finished_at is None and attempt.pid in event.pids and attempt.started_at <= event.at:
            again = _next(facts, attempt)
            if again is None or again.started_at > event.at:
                yield attempt


def _interrupted(
    facts: Facts, attempt: Attempt, event: Happened, happened: Sequence[Happened], known: Mapping[str, Kind]
) -> Interrupted:
    row = facts.by_id[attempt.event_id]
    again = _next(facts, attempt)
    until = again.started_at if again else event.at
    return Interrupted(
        key=row.key,
        kind=event.fault.kind,
        again=again.started_at - event.at if again else None,
        done=row.finished_at - event.at if row.finished_at else None,
        away=_away(happened, known, event.at, until),
    )


def _next(facts: Facts, attempt: Attempt) -> Attempt | None:
    later = (each for each in facts.attempts_of[attempt.event_id] if each.number > attempt.number)
    return next(later, None)


def _away(happened: Sequence[Happened], known: Mapping[str, Kind], since: float, until: float) -> float:
    """Seconds between two times in which a store or beat was away, or just back."""
    parts = sorted(
        (max(event.at, since), min((event.until or until) + RECONNECT_SECONDS, until))
        for event in happened
        if known[event.fault.kind].takes_away
    )
    total, covered = 0.0, since
    for begin, end in parts:
        begin = max(begin, covered)
        if end > begin:
            total, covered = total + end - begin, end
    return total
