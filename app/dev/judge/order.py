"""Whether the events of each conversation ran in the promised order, in each lane name. Pure: no I/O.

The promised order is (occurred_at, accepted, place in the body), among the events that had arrived. For every pair of
events whose order is known the earlier one ran first, unless it was stored only when the later one had begun: then it
must be marked late. Acceptance is known from the sender alone: the 200 of one came before the POST of the other began.
Under names that are linked later, order is judged for each name by itself.

An event that was posted again counts from its first acceptance, but may be stored by a later one first: until the
first body is split nobody can know better, and what is handled by then stays where it is. What was accepted on both
sides of a moment at which Redis's clock was set has no order either.

The jobs of a replay have that order among themselves, and none of them runs while an older event of its lane waits.

Known slack: a worker reads the head of a lane and then claims it; what is stored in between counts as late for
``READING_SECONDS``.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.dev.judge.facts import Facts, grouped
from app.dev.judge.ledger import Acceptance
from app.dev.judge.records import StoredEvent, StoredJob
from app.dev.judge.verdict import Violation

READING_SECONDS = 1.0
CLOCK_SYNC_SECONDS = 2.0  # from when Redis's clock is set until every web names deliveries by it


@dataclass(frozen=True, slots=True)
class LaneRun:
    """A job and its run that was committed, or the end of one that is dead: until then it held its lane."""

    name: str
    job: StoredJob
    event: StoredEvent
    accepted: Acceptance
    begun_at: float  # of its attempt
    started_at: float
    ended_at: float
    late: bool
    dead: bool = False


def conversations_have_a_lane_of_their_own(facts: Facts) -> Iterator[Violation | None]:
    """All jobs of a conversation in a lane name are in one lane, and no others are."""
    owners: dict[int, tuple[str, str]] = {}
    for conversation, planned_events in grouped(facts.expected, lambda each: each.conversation).items():
        events = [facts.event_of[each.key] for each in planned_events if each.key in facts.event_of]
        jobs = [
            job for event in events for job in facts.jobs_of.get(event.id, ()) if job.state != "unhandled"
        ]
        for lane_name, own in grouped(jobs, lambda job: job.lane_name).items():
            lanes, keys = {job.lane for job in own}, (facts.event(own[0]).key,)
            owner = (conversation, lane_name)
            shared = [lane for lane in sorted(lanes) if owners.setdefault(lane, owner) != owner]
            if shared:
                yield Violation(f"two conversations or lane names share lane {shared[0]}", keys)
            elif len(lanes) > 1:
                yield Violation(f"split over several lanes: {conversation} in {lane_name}", keys)
            else:
                yield None


def conversations_run_in_order(facts: Facts) -> Iterator[Violation | None]:
    """In each lane runs are one at a time, in the promised order, and what is late says so."""
    by_commit = sorted(_runs(facts), key=lambda run: run.ended_at)
    clock_set = [at for fault in facts.faults if fault.sets_clock for at in (fault.began_at, fault.ended_at)]
    for runs in grouped(by_commit, lambda run: (run.accepted.event.conversation, run.job.lane_name)).values():
        yield from _late(runs)
        for of_one_name in grouped(runs, lambda run: run.accepted.event.name).values():
            yield from _one_at_a_time(of_one_name)
            yield from _held(facts, of_one_name)
            for of_one_replay in grouped(of_one_name, lambda run: run.job.replay_id).values():
                yield from _in_order(of_one_replay, clock_set)
            yield from _replays_wait(of_one_name, clock_set)


def _runs(facts: Facts) -> Iterator[LaneRun]:
    for job in facts.jobs:
        event = facts.event(job)
        accepted = facts.posted.get(event.key)
        if accepted is None:
            continue  # judged elsewhere
        name, attempts = facts.name(job), facts.attempts_of.get(job.id, ())
        for effect in facts.effects_of.get(job.id, ()):
            begun_at = next((each.started_at for each in attempts if each.succeeded), effect.started_at)
            yield LaneRun(
                name, job, event, accepted, begun_at, effect.started_at, effect.ended_at, effect.late
            )
        if job.lane_name in facts.calls:  # a target leaves no effect
            ends = [(each.started_at, each.finished_at or 0.0) for each in attempts if each.succeeded]
            for since, until in ends:
                yield LaneRun(name, job, event, accepted, since, since, until, job.late)
        if job.state == "dead" and job.finished_at is not None:
            ended = job.finished_at
            yield LaneRun(name, job, event, accepted, ended, ended, ended, job.late, dead=True)


def _one_at_a_time(runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    by_start = sorted(runs, key=lambda run: run.started_at)
    for before, after in pairwise(by_start):
        if after.started_at < before.ended_at:
            sentence = f"ran at the same time: {before.name} and {after.name}"
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
        sentence = f"out of order: {overtaken.name}, stored {waited:.3f} s before {overtaker.name} began"
        return Violation(sentence, keys)
    if not overtaken.late and not overtaker.dead:
        return Violation(f"not marked late: {overtaken.name} ran after {overtaker.name}", keys)
    return None


def _late(runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    """What says that it is late has been overtaken, by one that was handled."""
    for number, run in enumerate(runs):
        if run.late and not run.dead:
            overtaken = any(_ran_behind(run, other) for other in runs[:number] if not other.dead)
            sentence = f"marked late, but nothing later had run: {run.name}"
            yield None if overtaken else Violation(sentence, (run.event.key,))


def _ran_behind(run: LaneRun, other: LaneRun) -> bool:
    """Whether the other, which ran before, stood behind this one at that time, or may have."""
    same_time = run.event.occurred_at == other.event.occurred_at
    return other.event.sort_key >= run.event.sort_key or (same_time and _may_stand_behind(other, run))


def _held(facts: Facts, runs: Sequence[LaneRun]) -> Iterator[Violation | None]:
    """Nothing runs between the first attempt of an event that comes before it and that event's end."""
    for run in runs:
        attempts = facts.attempts_of.get(run.job.id, [])
        if len(attempts) < 2:
            continue
        first, last = attempts[0].started_at, attempts[-1].started_at
        for other in runs:
            if first < other.started_at < last and not other.dead and not _ran_behind(other, run):
                sentence = f"did not wait: {other.name} ran while {run.name} was failing"
                yield Violation(sentence, _keys(run, other))


def _replays_wait(runs: Sequence[LaneRun], clock_set: Sequence[float]) -> Iterator[Violation | None]:
    """No job of a replay runs before an older event that waits in its lane."""
    live = [run for run in runs if run.job.replay_id is None]
    ends = [run.ended_at for run in live]
    for replayed in runs:
        if replayed.job.replay_id is None:
            continue
        # Those that ran behind it
        for run in live[bisect_right(ends, replayed.ended_at) :]:
            waited = replayed.begun_at - run.event.stored_at
            older = run.accepted.event.occurred_at < replayed.accepted.event.occurred_at or (
                run.accepted.event.occurred_at == replayed.accepted.event.occurred_at
                and _first(run, replayed, clock_set)
            )
            if older and waited > READING_SECONDS:
                sentence = (
                    f"ran before an older one that had waited {waited:.3f} s: {replayed.name}, {run.name}"
                )
                yield Violation(sentence, _keys(run, replayed))
        yield None


def _keys(*runs: LaneRun) -> tuple[str, ...]:
    return tuple(run.event.key for run in runs)
