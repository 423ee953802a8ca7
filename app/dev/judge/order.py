"""Whether the events of each conversation ran in the promised order. Pure: no I/O.

The promised order is (occurred_at, accepted, place in the body), among the events that had arrived. For every pair of
events whose order is known the earlier one ran first, unless it was stored only when the later one had begun: then it
must be marked late. Acceptance is known from the sender alone: the 200 of one came before the POST of the other began.
Under names that are linked later, order is judged for each name by itself.

An event that was posted again counts from its first acceptance, but may be stored by a later one first: until the
first body is split nobody can know better, and what is handled by then stays where it is. What was accepted on both
sides of a moment at which Redis's clock was set has no order either.

Known slack: a worker reads the head of a lane and then claims it; what is stored in between counts as late for
``READING_SECONDS``.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.dev.judge.facts import Facts, grouped
from app.dev.judge.ledger import Acceptance
from app.dev.judge.records import StoredEvent
from app.dev.judge.verdict import Violation

READING_SECONDS = 1.0
CLOCK_SYNC_SECONDS = 2.0  # from when Redis's clock is set until every web names deliveries by it


@dataclass(frozen=True, slots=True)
class LaneRun:
    """An event and the run that was committed, or the end of one that is dead: until then it held its lane."""

    event: StoredEvent
    accepted: Acceptance
    begun_at: float  # of its attempt
    started_at: float
    ended_at: float
    late: bool
    dead: bool = False


def conversations_have_a_lane_of_their_own(facts: Facts) -> Iterator[Violation | None]:
    """All events of a conversation are in one lane, and no other conversation is."""
    lanes: dict[int, str] = {}
    for conversation, planned_events in grouped(facts.expected, lambda each: each.conversation).items():
        events = [facts.event_of[each.key] for each in planned_events if each.key in facts.event_of]
        own_lanes = {event.lane for event in events}
        for lane in sorted(own_lanes):
            if lanes.setdefault(lane, conversation) != conversation:
                yield Violation(f"two conversations share lane {lane}", (events[0].key,))
        if len(own_lanes) > 1:
            yield Violation(f"split over several lanes: {conversation}", (events[0].key,))
        else:
            yield None


def conversations_run_in_order(facts: Facts) -> Iterator[Violation | None]:
    """In each conversation runs are one at a time, in the promised order, and what is late says so."""
    by_commit = sorted(_runs(facts), key=lambda run: run.ended_at)
    clock_set = [at for fault in facts.faults if fault.sets_clock for at in (fault.began_at, fault.ended_at)]
    for runs in grouped(by_commit, lambda run: run.accepted.event.conversation).values():
        yield from _late(runs)
        for of_one_name in grouped(runs, lambda run: run.accepted.event.name).values():
            yield from _one_at_a_time(of_one_name)
            yield from _in_order(of_one_name, clock_set)
            yield from _held(facts, of_one_name)


def _runs(facts: Facts) -> Iterator[LaneRun]:
    for event in facts.events:
        accepted = facts.posted.get(event.key)
        if accepted is None:
            continue  # judged elsewhere
        attempts = facts.attempts_of.get(event.id, ())
        for effect in facts.effects_of.get(event.id, ()):
            begun_at = next((each.started_at for each in attempts if each.succeeded), effect.started_at)
            yield LaneRun(event, accepted, begun_at, effect.started_at, effect.ended_at, effect.late)
        if event.state == "dead" and event.finished_at is not None:
            ended = event.finished_at
            yield LaneRun(event, accepted, ended, ended, ended, event.late, dead=True)


def _one_at_a_time(runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    by_start = sorted(runs, key=lambda run: run.started_at)
    for before, after in pairwise(by_start):
        if after.started_at < before.ended_at:
            sentence = f"ran at the same time: {before.event.key} and {after.event.key}"
            yield Violation(sentence, _keys(before, after))
        else:
            yield None


def _in_order(runs: Sequence[LaneRun], clock_set: Sequence[float]) -> Iterator[Violation | None]:
    """Every pair whose order is known."""
    times: list[int] = []  # of those that ran so far, sorted
    by_time: dict[int, list[LaneRun]] = {}  # of those that ran so far, by occurred_at
    for number, run in enumerate(runs):
        at = run.accepted.event.occurred_at
        later = len(times) - bisect_left(times, at + 1)
        if later:  # it was overtaken; so seldom that looking at each is cheap
            overtook = [other for other in runs[:number] if other.accepted.event.occurred_at > at]
            yield from (_judged(run, other) for other in overtook)
        for _ in range(bisect_left(times, at)):
            yield None  # ran before it, as they had to
        for other in by_time.get(at, ()):
            if _first(run, other, clock_set):
                yield _judged(run, other)
            elif _first(other, run, clock_set):
                yield None
        insort(times, at)
        by_time.setdefault(at, []).append(run)


def _first(one: LaneRun, other: LaneRun, clock_set: Sequence[float]) -> bool:
    """Whether one of two with the same time comes first for sure."""
    if one.event.sort_key > other.event.sort_key and _may_stand_behind(one, other):
        return False  # its row is that of a repeat
    if one.accepted.body == other.accepted.body:
        return one.accepted.index < other.accepted.index
    since, until = one.accepted.earliest - CLOCK_SYNC_SECONDS, other.accepted.last
    return one.accepted.before(other.accepted) and not any(since <= at <= until for at in clock_set)


def _may_stand_behind(one: LaneRun, other: LaneRun) -> bool:
    """Whether one of two with the same time may have, or have had, the place of a repeat that came after the other."""
    return one.accepted.last > other.accepted.earliest


def _judged(overtaken: LaneRun, overtaker: LaneRun) -> Violation | None:
    """The first of a pair ran second: that is right only if it had not arrived, and then it is late."""
    keys = _keys(overtaken, overtaker)
    waited = overtaker.begun_at - overtaken.event.stored_at
    if waited > READING_SECONDS:
        sentence = (
            f"out of order: {overtaken.event.key}, stored {waited:.3f} s before {overtaker.event.key} began"
        )
        return Violation(sentence, keys)
    if not overtaken.late and not overtaker.dead:
        return Violation(f"not marked late: {overtaken.event.key} ran after {overtaker.event.key}", keys)
    return None


def _late(runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    """What says that it is late has been overtaken, by one that was handled."""
    for number, run in enumerate(runs):
        if run.late and not run.dead:
            overtaken = any(_ran_behind(run, other) for other in runs[:number] if not other.dead)
            sentence = f"marked late, but nothing later had run: {run.event.key}"
            yield None if overtaken else Violation(sentence, (run.event.key,))


def _ran_behind(run: LaneRun, other: LaneRun) -> bool:
    """Whether the other, which ran before, stood behind this one at that time, or may have."""
    same_time = run.event.occurred_at == other.event.occurred_at
    return other.event.sort_key >= run.event.sort_key or (same_time and _may_stand_behind(other, run))


def _held(facts: Facts, runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    """Nothing runs between the first attempt of an event that comes before it and that event's end."""
    for run in runs:
        attempts = facts.attempts_of.get(run.event.id, [])
        if len(attempts) < 2:
            continue
        first, last = attempts[0].started_at, attempts[-1].started_at
        for other in runs:
            if first < other.started_at < last and not other.dead and not _ran_behind(other, run):
                sentence = f"did not wait: {other.event.key} ran while {run.event.key} was failing"
                yield Violation(sentence, _keys(run, other))


def _keys(*runs: LaneRun) -> tuple[str, ...]:
    return tuple(run.event.key for run in runs)
