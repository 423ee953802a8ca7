"""Acked means stored: checks that every 200 stands for rows, and every row for an event that was sent. Pure: no I/O."""

from collections import Counter
from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.verdict import Violation


def every_post_is_acknowledged(facts: Facts) -> Iterator[Violation | None]:
    """Every well-signed post got a 200 in the end."""
    for entry in facts.entries:
        if not entry.forged and not entry.acknowledged:
            yield Violation("a post never got a 200", tuple(event.key for event in entry.events[:1]))


def acknowledged_events_are_stored(facts: Facts) -> Iterator[Violation | None]:
    """Every event of a body that was answered with 200 is a row."""
    for key in facts.acknowledged:
        yield None if key in facts.event_of else Violation(f"lost: {key}", (key,))


def deliveries_are_counted(facts: Facts) -> Iterator[Violation | None]:
    """Deliveries, events and duplicates are as many as posts that got a 200, and at most as many as tries."""
    sent = facts.sent
    if sent.acknowledged <= facts.deliveries <= sent.tries:
        yield None
    else:
        yield Violation(f"{facts.deliveries} deliveries are stored, of {sent.acknowledged} that got a 200")
    if sent.acknowledged_items <= len(facts.events) + facts.duplicates <= sent.tried_items:
        yield None
    else:
        yield Violation(
            f"{len(facts.events)} events and {facts.duplicates} duplicates are not the "
            f"{sent.acknowledged_items} that were sent"
        )


def no_event_is_stored_twice(facts: Facts) -> Iterator[Violation | None]:
    """No two rows have the same key."""
    for key, count in Counter(event.key for event in facts.events).items():
        if count > 1:
            yield Violation(f"accepted {count} times: {key}", (key,))


def every_event_was_sent(facts: Facts) -> Iterator[Violation | None]:
    """Every row is an event of a well-signed body."""
    for event in facts.events:
        if event.key in facts.posted:
            yield None
        else:
            yield Violation(f"nobody sent it under the right secret: {event.key}", (event.key,))


def times_are_those_of_meta(facts: Facts) -> Iterator[Violation | None]:
    """Every row has the time that its event was sent with."""
    for event in facts.events:
        acceptance = facts.posted.get(event.key)
        if acceptance is not None and acceptance.event.occurred_at != event.occurred_at:
            yield Violation(f"has another time than it was sent with: {event.key}", (event.key,))
