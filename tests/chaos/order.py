"""Whether the events of each conversation ran in the promised order. Pure: no I/O.

The promised order is (occurred_at, accepted, place in the body), among the events that had arrived. For every pair of
events whose order is known the earlier one ran first, unless it was stored only when the later one had begun: then it
must be marked late. Acceptance is known from the sender alone: the 200 of one came before the POST of the other began.

Known slack: a worker reads the head of a lane and then claims it; what is stored in between counts as late for
``READING_SECONDS``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.facts import Facts, StoredEvent
from tests.chaos.ledger import Acceptance

READING_SECONDS = 1.0

Fault = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Run:
    """An event and the run that was committed, or the end of one that is dead: until then it held its lane."""

    event: StoredEvent
    accepted: Acceptance
    begun_at: float  # of its attempt
    started_at: float
    ended_at: float
    late: bool
    dead: bool = False


def in_order(facts: Facts) -> Iterator[Fault | None]:
    """One item for each pair, or single event, that was looked at: None where it is right."""
    lanes: dict[int, int] = {}
    for conversation, runs in _conversations(facts).items():
        for lane in {run.event.lane for run in runs}:
            if lanes.setdefault(lane, conversation) != conversation:
                yield f"two conversations share lane {lane}", (runs[0].event.key,)
        yield from _one_at_a_time(runs)
        yield from _by_place(runs)
        yield from _late(runs)


def _conversations(facts: Facts) -> dict[int, list[Run]]:
    """The runs of each, in the order of their commits."""
    found: dict[int, list[Run]] = {}
    for run in sorted(_runs(facts), key=lambda run: run.ended_at):
        found.setdefault(run.accepted.event.conversation, []).append(run)
    return found


def _runs(facts: Facts) -> Iterator[Run]:
    for event in facts.events:
        accepted = facts.sent.get(event.key)
        if accepted is None:
            continue  # judged elsewhere
        attempts = facts.attempts_of.get(event.id, ())
        for effect in facts.effects_of.get(event.id, ()):
            begun_at = next((each.started_at for each in attempts if each.succeeded), effect.started_at)
            yield Run(event, accepted, begun_at, effect.started_at, effect.ended_at, effect.late)
        if event.state == "dead" and event.finished_at is not None:
            ended = event.finished_at
            yield Run(event, accepted, ended, ended, ended, event.late, dead=True)


def _one_at_a_time(runs: Sequence[Run]) -> Iterator[Fault | None]:
    by_start = sorted(runs, key=lambda run: run.started_at)
    for before, after in pairwise(by_start):
        if after.started_at < before.ended_at:
            yield f"ran at the same time: {before.event.key} and {after.event.key}", _keys(before, after)
        else:
            yield None


def _by_place(runs: Sequence[Run]) -> Iterator[Fault | None]:
    """Every pair whose order is known."""
    times: list[int] = []  # of those that ran so far, sorted
    by_time: dict[int, list[Run]] = {}  # of those that ran so far, by occurred_at
    for number, run in enumerate(runs):
        at = run.accepted.event.occurred_at
        later = len(times) - bisect_left(times, at + 1)
        if later:  # it was overtaken; so seldom that looking at each is cheap
            overtook = [other for other in runs[:number] if other.accepted.event.occurred_at > at]
            yield from (_judged(run, other) for other in overtook)
        for _ in range(bisect_left(times, at)):
            yield None  # ran before it, as they had to
        for other in by_time.get(at, ()):
            if _first(run, other):
                yield _judged(run, other)
            elif _first(other, run):
                yield None
        insort(times, at)
        by_time.setdefault(at, []).append(run)


def _first(one: Run, other: Run) -> bool:
    """Whether one of two with the same time comes first for sure."""
    if one.accepted.body == other.accepted.body:
        return one.accepted.place < other.accepted.place
    return one.accepted.before(other.accepted)


def _judged(overtaken: Run, overtaker: Run) -> Fault | None:
    """The first of a pair ran second: that is right only if it had not arrived, and then it is late."""
    keys = _keys(overtaken, overtaker)
    waited = overtaker.begun_at - overtaken.event.stored_at
    if waited > READING_SECONDS:
        sentence = (
            f"out of order: {overtaken.event.key}, stored {waited:.3f} s before {overtaker.event.key} began"
        )
        return sentence, keys
    if not overtaken.late and not overtaker.dead:
        return f"not marked late: {overtaken.event.key} ran after {overtaker.event.key}", keys
    return None


def _late(runs: Sequence[Run]) -> Iterator[Fault | None]:
    """What says that it is late has been overtaken, by one that was handled."""
    furthest = None
    for run in runs:
        if run.dead:
            continue
        if run.late:
            wrong = furthest is None or furthest < run.event.place
            yield (
                (f"marked late, but nothing later had run: {run.event.key}", (run.event.key,))
                if wrong
                else None
            )
        furthest = run.event.place if furthest is None else max(furthest, run.event.place)


def _keys(*runs: Run) -> tuple[str, ...]:
    return tuple(run.event.key for run in runs)
