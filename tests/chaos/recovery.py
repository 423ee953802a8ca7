"""From each fault until the next event was completed, in figures for the report. Pure: no I/O."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from app.dev.judge import Facts


@dataclass(frozen=True, slots=True)
class Span:
    """From a fault, and from its end, to the first event completed after it; None: there was none."""

    kind: str
    at: float
    seconds: float | None
    after_its_end: float | None


def spans(facts: Facts) -> list[Span]:
    """Return one for each fault."""
    finished = sorted(event.finished_at for event in facts.events if event.finished_at is not None)
    return [
        Span(
            fault.kind,
            fault.began_at,
            _until_next(finished, fault.began_at),
            _until_next(finished, fault.ended_at),
        )
        for fault in facts.faults
    ]


def _until_next(finished: Sequence[float], moment: float) -> float | None:
    """Return the seconds from a moment to the first of some sorted times after it."""
    index = bisect_right(finished, moment)
    return finished[index] - moment if index < len(finished) else None


def by_kind(all_spans: Sequence[Span], *, from_its_end: bool = False) -> dict[str, tuple[int, float, float]]:
    """Kind → how many, median and worst seconds, from the begin of the fault or from its end."""
    groups: dict[str, list[float]] = {}
    for span in all_spans:
        seconds = span.after_its_end if from_its_end else span.seconds
        if seconds is not None:
            groups.setdefault(span.kind, []).append(seconds)
    return {kind: (len(each), median(each), max(each)) for kind, each in sorted(groups.items())}
