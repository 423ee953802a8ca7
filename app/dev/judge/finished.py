"""Stored means finished: checks that every event is final and nothing waits. Pure: no I/O."""

from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.records import FINAL
from app.dev.judge.verdict import Violation


def every_event_is_final(facts: Facts) -> Iterator[Violation | None]:
    """Every event is done, dead or without a handler, since a known time."""
    for event in facts.events:
        if event.state in FINAL and event.finished_at is not None:
            yield None
        else:
            yield Violation(f"not finished: {event.key} is {event.state}", (event.key,))


def nothing_waits(facts: Facts) -> Iterator[Violation | None]:
    """The journal and every queue but that of dead letters are empty."""
    for name, count in facts.waiting.items():
        yield Violation(f"{count} left in {name}") if count else None
