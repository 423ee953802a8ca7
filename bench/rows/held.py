"""Everything at once on this machine: the highest rate at which the backlog does not grow.

Which rate that is, is searched with short trials; the one that is found is then held for the whole time, and
where it is not, the next lower one is tried. It is held when in the second half of the time the backlog grows by
less than a hundredth of what is sent (or, in a short trial, by less than what comes in half a second), nothing is
refused, and the sender itself is not late.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial

import click

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.rows.ack import figures_of
from bench.subjects.catalog import NEVERDROP, TUTORIAL, Subject
from bench.subjects.turn import Turn
from bench.traffic.load import Load, prepared
from bench.traffic.sender import Order
from bench.traffic.tally import Tally

CONNECTIONS = 16
TRIAL = 0.1  # of the time
SHORTEST_SECONDS = 4  # of a trial, so that there is a slope to see
GROWTH = 0.01  # of what is sent
NOISE_SECONDS = 0.5  # of traffic by which a backlog goes up and down
LATE_SECONDS = 0.25  # of the sender, 99th percentile: a machine with no core left for it
SAMPLE_SECONDS = 0.5
DRAIN_SECONDS = 1_200
WHY = ("growth/s", "refused", "load lag p99 ms")  # of these one at least is why a rate was not held


def rows(options: Options) -> list[Row]:
    return [
        Row(
            "held",
            f"Meta's mix, all processes and the load on this machine: rate held for {options.hold_seconds:g} s",
            {subject.name: partial(_held, options, subject) for subject in (NEVERDROP, TUTORIAL)},
            (Ratio("held/s", NEVERDROP.name, TUTORIAL.name),),
            rounds=1,
        )
    ]


def _held(options: Options, subject: Subject) -> Figures:
    """The figures of the highest rate that was held, and what became of the next higher one that was tried."""
    rates, tried = options.hold_rates, dict[int, dict[str, float]]()
    short = max(options.hold_seconds * TRIAL, SHORTEST_SECONDS)

    def held(rate: int, seconds: float) -> bool:
        tried[rate] = _at(running, rate, seconds)
        found = bool(tried[rate].pop("held"))
        why = ", ".join(f"{name} {tried[rate][name]:.3g}" for name in WHY)
        click.echo(f"  {rate}/s for {seconds:g} s: {'held' if found else 'not held'} ({why})")
        return found

    with options.turn(subject) as running:
        place = _highest(rates, lambda rate: held(rate, short))
        while place >= 0 and not held(rates[place], options.hold_seconds):
            place -= 1
    highest = rates[place] if place >= 0 else 0
    above = min((rate for rate in tried if rate > highest), default=None)
    missed = (
        {} if above is None else {"not held/s": above, **{f"its {why}": tried[above][why] for why in WHY}}
    )
    return {"held/s": highest, **(tried[highest] if highest else {}), **missed}


def _highest(rates: Sequence[int], held: Callable[[int], bool]) -> int:
    """The place of the highest rate that is held, by halving; -1 if none is."""
    low, high = -1, len(rates)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if held(rates[middle]) else (low, middle)
    return low


def _at(running: Turn, rate: int, seconds: float) -> dict[str, float]:
    traffic = running.traffic(int(rate * seconds), "mix")
    order = Order(running.port, traffic, CONNECTIONS, seconds=seconds, rate=rate)
    with prepared(order) as load:
        samples, tally = _watched(running, load, seconds)
    _drain(running)
    half = samples[len(samples) // 2 :]
    growth, lasted = _slope(half), half[-1][0] - half[0][0]
    held = (
        growth * lasted < rate * max(GROWTH * lasted, NOISE_SECONDS)
        and not tally.refused + tally.broken
        and tally.lags.percentile(99) < LATE_SECONDS
    )
    return figures_of(tally) | {"backlog": samples[-1][1], "growth/s": growth, "held": float(held)}


def _watched(running: Turn, load: Load, seconds: float) -> tuple[list[tuple[float, float]], Tally]:
    """The backlog at each moment of the load."""
    samples = []
    began = time.monotonic()
    load.begin()
    while (now := time.monotonic() - began) < seconds:
        samples.append((now, float(running.subject.backlog(running.stores))))
        time.sleep(SAMPLE_SECONDS)
    return samples, load.result()


def _slope(samples: Sequence[tuple[float, float]]) -> float:
    """Events a second by which the backlog grows, by least squares."""
    if len(samples) < 2:
        return float("inf")
    return statistics.linear_regression(*zip(*samples, strict=True)).slope


def _drain(running: Turn) -> None:
    """The next trial begins with an empty pipeline."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while running.subject.backlog(running.stores) and time.monotonic() < deadline:
        time.sleep(SAMPLE_SECONDS)
