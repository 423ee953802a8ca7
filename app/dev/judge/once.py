"""Once: checks that effects are committed once, and that attempts are counted and never overlap. Pure: no I/O."""

from collections.abc import Iterator
from itertools import pairwise

from app.dev.judge.facts import Facts
from app.dev.judge.records import FINAL, StoredAttempt, StoredEffect, StoredEvent
from app.dev.judge.verdict import Violation
from app.dev.simulator import Fate


def effects_are_committed_once(facts: Facts) -> Iterator[Violation | None]:
    """A done event that has a handler has one effect, of its one successful attempt; any other event has none."""
    unhandled = {event.key for event in facts.expected if event.fate is Fate.UNHANDLED}
    for event in facts.events:
        if event.state in FINAL:
            runs = 1 if event.state == "done" and event.key not in unhandled else 0
            yield _effects_of_one(facts, event, runs)
    for event_id in facts.effects_of.keys() - facts.by_id.keys():
        yield Violation(f"an effect of an event that is not stored: {event_id}")


def _effects_of_one(facts: Facts, event: StoredEvent, runs: int) -> Violation | None:
    effects = facts.effects_of.get(event.id, [])
    succeeded = [attempt for attempt in facts.attempts_of.get(event.id, ()) if attempt.succeeded]
    if len(effects) != runs:
        return Violation(f"{len(effects)} effects instead of {runs}: {event.key}", (event.key,))
    if len(succeeded) > runs:
        return Violation(f"{len(succeeded)} attempts were committed: {event.key}", (event.key,))
    if effects and not (succeeded and _within(effects[0], succeeded[0])):
        return Violation(f"its effects are not those of its attempt: {event.key}", (event.key,))
    return None


def _within(effect: StoredEffect, attempt: StoredAttempt) -> bool:
    """A handler is told a lower number where earlier attempts lost a race of transactions, which costs none."""
    ended_at = attempt.finished_at or 0
    return (
        effect.attempt <= attempt.number
        and attempt.started_at <= effect.started_at <= effect.ended_at <= ended_at
    )


def attempts_never_overlap(facts: Facts) -> Iterator[Violation | None]:
    """Attempts are numbered without a gap, as many as the event says; none finished after the next had begun."""
    for event in facts.events:
        attempts = facts.attempts_of.get(event.id, [])
        if [attempt.number for attempt in attempts] != list(range(1, event.attempts + 1)):
            yield Violation(f"{event.attempts} attempts, and other rows: {event.key}", (event.key,))
            continue
        overlapping = any(
            before.finished_at is not None and before.finished_at > after.started_at
            for before, after in pairwise(attempts)
        )
        yield Violation(f"attempts overlap: {event.key}", (event.key,)) if overlapping else None
