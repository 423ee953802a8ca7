"""Statuses never go back: checks what is stored of each message, and what its handlers saw. Pure: no I/O."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from app.dev.judge.facts import Facts, grouped
from app.dev.judge.verdict import Violation
from app.dev.simulator import PlannedEvent
from app.stores import MessageStatus

RANK = {status.value: rank for rank, status in enumerate(MessageStatus)}


def statuses_stand_at_the_furthest(facts: Facts) -> Iterator[Violation | None]:
    """Each message stands at the furthest status that was sent of it, and has a time for each."""
    for message_id, planned_events in _by_message(facts).items():
        sent = {planned.type for planned in planned_events}
        furthest = max(planned_events, key=lambda planned: RANK[planned.type])
        status = facts.statuses.get(message_id)
        if status is None:
            yield Violation(f"no status is stored: {message_id}", (furthest.key,))
        elif status.furthest != furthest.type:
            sentence = f"stands at {status.furthest} instead of {furthest.type}: {message_id}"
            yield Violation(sentence, (furthest.key,))
        elif not sent <= status.reached:
            missing = ", ".join(sorted(sent - status.reached))
            yield Violation(f"has no time for {missing}: {message_id}", (furthest.key,))
        else:
            yield None


def handlers_see_statuses_rise(facts: Facts) -> Iterator[Violation | None]:
    """No handler saw a message at an earlier status than a handler before it did."""
    for message_id, planned_events in _by_message(facts).items():
        status = facts.statuses.get(message_id)
        seen = [*_seen(facts, planned_events), *([status.furthest] if status else [])]
        for before, after in pairwise(seen):
            if RANK[after] < RANK[before]:
                keys = tuple(planned.key for planned in planned_events)
                yield Violation(f"went back from {before} to {after}: {message_id}", keys)
            else:
                yield None


def _by_message(facts: Facts) -> dict[str, list[PlannedEvent]]:
    """Acknowledged statuses by the message that they are about."""
    planned_statuses = [planned for planned in facts.acknowledged.values() if planned.kind == "status"]
    return grouped(planned_statuses, lambda planned: planned.message_id)


def _seen(facts: Facts, planned_events: Sequence[PlannedEvent]) -> list[str]:
    """What the handlers of some statuses read, in the order of their commits."""
    jobs = [job for planned in planned_events for job in facts.live_jobs(planned.key)]
    effects = [effect for job in jobs for effect in facts.effects_of.get(job.id, ())]
    effects.sort(key=lambda effect: effect.sequence)
    return [effect.status_seen for effect in effects if effect.status_seen is not None]
