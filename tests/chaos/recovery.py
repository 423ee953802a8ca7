"""How long work stood still after each kind of fault, in figures for the report. Pure: no I/O."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from app.dev.judge import comes_back


class Recovery(NamedTuple):
    """Of a kind of fault, in seconds from its end; None: nothing was completed any more after one of them."""

    times: int
    median: float | None
    worst: float | None


def by_kind(returns: Sequence[tuple[str, float | None]]) -> dict[str, Recovery]:
    """Kind → its recovery, in the order of the kinds' names."""
    kinds = sorted({kind for kind, _ in returns})
    return {kind: _recovery([seconds for name, seconds in returns if name == kind]) for kind in kinds}


def _recovery(all_seconds: Sequence[float | None]) -> Recovery:
    seconds = [each for each in all_seconds if each is not None]
    if len(seconds) < len(all_seconds):
        return Recovery(len(all_seconds), None, None)
    return Recovery(len(seconds), round(median(seconds), 2), round(max(seconds), 2))


def pairs(returns: Sequence[comes_back.Return]) -> list[tuple[str, float | None]]:
    """Return kind and seconds of each, as a report has them."""
    return [(each.kind, each.seconds) for each in returns]
