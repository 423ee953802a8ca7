"""Failure is loud: checks that those died that had to, and that each failure can be seen. Pure: no I/O."""

from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.records import FINAL, StoredEvent
from app.dev.judge.verdict import Violation
from app.dev.simulator import Fate, PlannedEvent


def dead_are_those_that_must_be(facts: Facts) -> Iterator[Violation | None]:
    """An event is dead if it was planned to die, and then with a reason; no other is."""
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        if event is not None and event.state in FINAL:
            yield _death(planned, event)


def _death(planned: PlannedEvent, event: StoredEvent) -> Violation | None:
    if event.state == "dead" and planned.fate is not Fate.DEAD:
        return Violation(f"died unexpectedly: {event.key}: {event.error}", (event.key,))
    if event.state != "dead" and planned.fate is Fate.DEAD:
        return Violation(f"should have died: {event.key}", (event.key,))
    if event.state == "dead" and not event.error:
        return Violation(f"died without a reason: {event.key}", (event.key,))
    return None


def dead_letters_are_queued(facts: Facts) -> Iterator[Violation | None]:
    """The queue of dead letters holds a message for each."""
    dead = sum(event.state == "dead" for event in facts.events)
    if facts.dead_letters == dead:
        yield None
    else:
        yield Violation(
            f"the queue of dead letters holds {facts.dead_letters} messages for {dead} dead letters"
        )


def failures_are_recorded(facts: Facts) -> Iterator[Violation | None]:
    """Each failure that was planned is an attempt with an error."""
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        if event is None or event.state not in FINAL:
            continue
        failures = sum(attempt.error is not None for attempt in facts.attempts_of.get(event.id, ()))
        if failures >= planned.failures:
            yield None
        else:
            yield Violation(
                f"{failures} of {planned.failures} failures are written down: {event.key}", (event.key,)
            )
