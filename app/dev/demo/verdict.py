"""Whether the promises were kept, judged from what the tables show against what was sent. Pure: no I/O.

Each promise is judged by a function that yields a sentence for each fault; no fault is a promise kept. What it
cannot see: a run of a handler that committed nothing, which is allowed to happen more than once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from app.dev.demo.facts import Effect, Facts, Status, StoredEvent, grouped
from app.dev.simulator import STATUSES, Fate, PlannedEvent

RECOVERY_SECONDS = 45  # from the kill of a worker until what it was in the middle of runs again
# Between an event's being stored and the worker's looking at its lane, which may be too late to see it
STORING_SECONDS = 1.0
FINAL = ("done", "dead")
RANK = {status: rank for rank, status in enumerate(STATUSES)}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One promise; without faults it was kept."""

    promise: str
    faults: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return not self.faults


def judge(facts: Facts) -> list[Judgement]:
    """Every promise, in the order in which they are documented."""
    return [Judgement(promise, list(faults(facts))) for promise, faults in PROMISES.items()]


def acked_means_stored(facts: Facts) -> Iterator[str]:
    """Every 200 stands for a delivery in the tables, and every event in it for a row."""
    sent = facts.sent
    if sent.acknowledged < sent.posts:
        yield f"{sent.posts - sent.acknowledged} posts never got a 200"
    if not sent.acknowledged <= facts.deliveries <= sent.tries:
        yield f"{facts.deliveries} deliveries are stored, of {sent.acknowledged} that got a 200"
    told = len(facts.events) + facts.duplicates
    if not sent.acknowledged_items <= told <= sent.tried_items:
        yield (
            f"{len(facts.events)} events and {facts.duplicates} duplicates are not the "
            f"{sent.acknowledged_items} that were sent"
        )
    for planned in facts.expected:
        if planned.key not in facts.event_of:
            yield f"lost: {planned.key}"


def stored_means_finished(facts: Facts) -> Iterator[str]:
    """Nothing is left over."""
    for event in facts.events:
        if event.state not in FINAL:
            yield f"not finished: {event.key} is {event.state}"
    for name, count in facts.waiting.items():
        if count:
            yield f"{count} left in {name}"


def once(facts: Facts) -> Iterator[str]:
    """An event is accepted once, and its effects are committed once: none before its death, or without a handler."""
    for key, count in Counter(event.key for event in facts.events).items():
        if count > 1:
            yield f"accepted {count} times: {key}"
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        if event is None or event.state not in FINAL:
            continue
        wanted = 1 if event.state == "done" and planned.fate is not Fate.UNHANDLED else 0
        found = len(facts.effects_of.get(event.id, ()))
        if found != wanted:
            yield f"{found} effects instead of {wanted}: {planned.key}"
    known = {event.id for event in facts.events}
    for event_id in facts.effects_of.keys() - known:
        yield f"an effect of an event that is not stored: {event_id}"


def in_order(facts: Facts) -> Iterator[str]:
    """In each conversation: one at a time, by place, and a failing one holds what comes after it."""
    lanes: dict[int, str] = {}
    for conversation, planned_events in facts.conversations.items():
        events = [facts.event_of[planned.key] for planned in planned_events if planned.key in facts.event_of]
        for planned in planned_events:
            event = facts.event_of.get(planned.key)
            if event and event.occurred_at != datetime.fromtimestamp(planned.occurred_at, UTC):
                yield f"has another time than it was sent with: {planned.key}"
        for lane in sorted({event.lane for event in events}):
            if lanes.setdefault(lane, conversation) != conversation:
                yield f"two conversations share lane {lane}"
        if len({event.lane for event in events}) > 1:
            yield f"split over several lanes: {conversation}"
        yield from _one_at_a_time(facts, events)
        yield from _by_place(facts, events)
        yield from _held(facts, events)


def _runs_of(facts: Facts, events: Sequence[StoredEvent]) -> list[tuple[Effect, StoredEvent]]:
    """The effects of some events, in the order of their commits."""
    found = [(effect, event) for event in events for effect in facts.effects_of.get(event.id, ())]
    return sorted(found, key=lambda pair: pair[0].sequence)


def _one_at_a_time(facts: Facts, events: Sequence[StoredEvent]) -> Iterator[str]:
    runs = sorted(_runs_of(facts, events), key=lambda pair: pair[0].started_at)
    for (before, first), (after, second) in pairwise(runs):
        if after.started_at < before.ended_at:
            yield f"ran at the same time: {first.key} and {second.key}"


def _by_place(facts: Facts, events: Sequence[StoredEvent]) -> Iterator[str]:
    """An event may run after a later one only if it was stored too late, and was told so."""
    runs = _runs_of(facts, events)
    for number, (effect, event) in enumerate(runs):
        overtaken_by = [(other, later) for other, later in runs[:number] if later.place > event.place]
        if not overtaken_by:
            if effect.late:
                yield f"marked late, but nothing later had run: {event.key}"
        elif not effect.late:
            yield f"out of order: {event.key} ran after {overtaken_by[0][1].key}"
        elif all(other.started_at > _stored(event) for other, _ in overtaken_by):
            yield f"out of order: {event.key} is marked late, but was stored before {overtaken_by[0][1].key} ran"


def _stored(event: StoredEvent) -> datetime:
    """From when on every worker that looks must have seen it."""
    return event.stored_at + timedelta(seconds=STORING_SECONDS)


def _held(facts: Facts, events: Sequence[StoredEvent]) -> Iterator[str]:
    runs = _runs_of(facts, events)
    for event in events:
        attempts = facts.attempts_of.get(event.id, [])
        if len(attempts) < 2:
            continue
        first, last = attempts[0].started_at, attempts[-1].finished_at or attempts[-1].started_at
        for effect, other in runs:
            if other.place > event.place and first < effect.started_at < last:
                yield f"did not wait: {other.key} ran while {event.key} was failing"


def statuses_never_go_back(facts: Facts) -> Iterator[str]:
    """Each message stands at its furthest status, and no handler saw it at an earlier one again."""
    planned_statuses = [planned for planned in facts.expected if planned.kind == "status"]
    for message_id, planned_events in grouped(planned_statuses, lambda planned: planned.message_id).items():
        told = {planned.type for planned in planned_events}
        furthest = max(told, key=RANK.__getitem__)
        status = facts.statuses.get(message_id)
        if status is None:
            yield f"no status is stored: {message_id}"
            continue
        if status.furthest != furthest:
            yield f"stands at {status.furthest} instead of {furthest}: {message_id}"
        if not told <= status.reached:
            yield f"has no time for {', '.join(sorted(told - status.reached))}: {message_id}"
        yield from _backwards(facts, planned_events, status)


def _backwards(facts: Facts, planned_events: Sequence[PlannedEvent], final: Status) -> Iterator[str]:
    events = [facts.event_of[planned.key] for planned in planned_events if planned.key in facts.event_of]
    seen = [effect.status_seen for effect, _ in _runs_of(facts, events) if effect.status_seen is not None]
    for before, after in pairwise([*seen, final.furthest]):
        if RANK[after] < RANK[before]:
            yield f"went back from {before} to {after}: {planned_events[0].message_id}"


def nothing_unsigned_gets_in(facts: Facts) -> Iterator[str]:
    """No forged post got a 200, and no event is stored that was not sent under the right secret."""
    if facts.sent.forged_acknowledged:
        yield f"{facts.sent.forged_acknowledged} forged posts got a 200"
    expected = {planned.key for planned in facts.expected}
    for event in facts.events:
        if event.key not in expected:
            yield f"nobody sent it under the right secret: {event.key}"


def failure_is_loud(facts: Facts) -> Iterator[str]:
    """Those are dead that had to die, with their reason and a message to be seen; each failure is written down."""
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        if event is None or event.state not in FINAL:
            continue
        if event.state == "dead" and planned.fate is not Fate.DEAD:
            yield f"died unexpectedly: {event.key}: {event.error}"
        elif event.state != "dead" and planned.fate is Fate.DEAD:
            yield f"should have died: {event.key}"
        elif event.state == "dead" and not event.error:
            yield f"died without a reason: {event.key}"
        failures = sum(run.error is not None for run in facts.attempts_of.get(event.id, ()))
        if failures < planned.failures:
            yield f"{failures} of {planned.failures} failures are written down: {event.key}"
    dead = sum(event.state == "dead" for event in facts.events)
    if facts.dead_letters != dead:
        yield f"the queue of dead letters holds {facts.dead_letters} messages for {dead} dead letters"


def a_killed_workers_event_runs_again(facts: Facts) -> Iterator[str]:
    """Within RECOVERY_SECONDS."""
    keys = {event.id: event.key for event in facts.events}
    for run in facts.interrupted:
        took = facts.recovery(run)
        if took is None:
            yield f"never ran again: {keys.get(run.event_id, run.event_id)}"
        elif took > timedelta(seconds=RECOVERY_SECONDS):
            yield f"ran again only after {took.total_seconds():.0f} s: {keys.get(run.event_id, run.event_id)}"


PROMISES: dict[str, Callable[[Facts], Iterator[str]]] = {
    "Acked means stored": acked_means_stored,
    "Stored means finished": stored_means_finished,
    "Once": once,
    "In order": in_order,
    "Statuses never go back": statuses_never_go_back,
    "Nothing unsigned gets in": nothing_unsigned_gets_in,
    "Failure is loud": failure_is_loud,
    "A killed worker's event runs again": a_killed_workers_event_runs_again,
}
