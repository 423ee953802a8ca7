"""Rounds: every case of a row once a round, in changing order; medians of the rounds; ratios before figures.

A ratio is taken within each round, of two cases that were measured minutes apart on the same machine, and then
its median over the rounds: what the machine does meanwhile touches both.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Figures = Mapping[str, float]
Case = Callable[[], Figures]


@dataclass(frozen=True, slots=True)
class Ratio:
    """``figure`` of one case over that of another; ``goal`` "at least" or "at most" so much, if there is one."""

    figure: str
    case: str
    base: str
    at_least: float | None = None
    at_most: float | None = None
    base_figure: str = ""  # where it is another

    @property
    def goal(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    def met(self, value: float) -> bool | None:
        """Whether the goal is met; None without one, or where nothing was measured."""
        if math.isnan(value):
            return None
        if self.at_least is not None:
            return value >= self.at_least
        return value <= self.at_most if self.at_most is not None else None


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the comparison. ``figures`` names what each case gives, the first is the one that counts."""

    name: str
    title: str
    cases: Mapping[str, Case]
    ratios: Sequence[Ratio] = ()
    rounds: int | None = None  # where fewer do, or where one takes too long

    def with_cases(self, names: Sequence[str]) -> "Row":
        """Only these cases, where it has them; all of its own where it has none of them."""
        kept = {name: case for name, case in self.cases.items() if name in names} or self.cases
        ratios = [ratio for ratio in self.ratios if {ratio.case, ratio.base} <= set(kept)]
        return replace(self, cases=kept, ratios=ratios)


@dataclass(slots=True)
class Measured:
    """A row's figures by case and name: one value for each round."""

    row: str
    title: str
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)  # case → why

    def median(self, case: str, figure: str) -> float:
        """NaN where it was not measured."""
        found = [value for value in self.values.get(case, {}).get(figure, []) if not math.isnan(value)]
        return statistics.median(found) if found else math.nan

    def figures(self) -> list[str]:
        """The names of all figures, in the order in which they came."""
        return list(dict.fromkeys(figure for case in self.values.values() for figure in case))


def measure(row: Row, rounds: int, tell: Callable[[str], None] = lambda _: None) -> Measured:
    """Run the rounds. A case that fails is told of, and the others go on."""
    measured = Measured(row.name, row.title)
    names = list(row.cases)
    for number in range(row.rounds or rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            tell(f"{row.name}, round {number + 1} of {row.rounds or rounds}: {name}")
            _run(measured, name, row.cases[name])
    measured.ratios = [_ratio(measured, ratio) for ratio in row.ratios]
    return measured


def _run(measured: Measured, name: str, case: Case) -> None:
    known = measured.values.setdefault(name, {})
    done = max(map(len, known.values()), default=0)
    try:
        found = case()
    except Exception as error:  # whatever it is, it costs one case of one round
        measured.failed[name] = f"{type(error).__name__}: {error}"
        found = dict.fromkeys(known, math.nan)
    for figure, value in found.items():
        values = known.setdefault(figure, [])
        values += [math.nan] * (done - len(values))
        values.append(value)


def _ratio(measured: Measured, ratio: Ratio) -> dict[str, Any]:
    above = measured.values.get(ratio.case, {}).get(ratio.figure, [])
    below = measured.values.get(ratio.base, {}).get(ratio.base_figure or ratio.figure, [])
    both = zip(above, below, strict=False)
    pairs = [a / b for a, b in both if b and not math.isnan(a) and not math.isnan(b)]
    value = statistics.median(pairs) if pairs else math.nan
    return {
        "figure": ratio.figure,
        "case": ratio.case,
        "base": ratio.base,
        "value": value,
        "rounds": pairs,
        "goal": ratio.goal,
        "met": ratio.met(value),
    }
