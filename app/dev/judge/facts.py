"""Everything that is judged: the sender's ledger, the faults, and what the tables and queues show. Pure: no I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from app.dev.judge.ledger import Acceptance, Entry, Sent, acceptances, sent_of
from app.dev.judge.records import StoredAttempt, StoredEffect, StoredEvent, StoredStatus
from app.dev.simulator import PlannedEvent
from config.celery import DEAD_LETTERS

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PastFault:
    """A fault from its begin to its end (Unix seconds)."""

    kind: str
    began_at: float
    ended_at: float
    pids: frozenset[int] | None = frozenset()  # processes that it killed or stopped; None: any may be
    target: str = ""  # the process that it hit
    takes_away: bool = False  # something that recovery needs: a store, or beat
    sets_clock: bool = False  # Redis's, at its begin and at its end


@dataclass(frozen=True)
class Facts:
    """Everything that is judged."""

    entries: Sequence[Entry]
    deliveries: int
    duplicates: int
    events: Sequence[StoredEvent]
    attempts: Sequence[StoredAttempt]
    effects: Sequence[StoredEffect]
    statuses: Mapping[str, StoredStatus]  # by message id
    queues: Mapping[str, int] = field(default_factory=dict)  # what the journal and each queue hold at the end
    faults: Sequence[PastFault] = ()

    @cached_property
    def sent(self) -> Sent:
        """What was posted, in numbers."""
        return sent_of(self.entries)

    @cached_property
    def expected(self) -> list[PlannedEvent]:
        """Every event of a well-signed body, once, in the order of the first post that holds it."""
        genuine = (entry for entry in self.entries if not entry.forged)
        return list({event.key: event for entry in genuine for event in entry.events}.values())

    @cached_property
    def posted(self) -> dict[str, Acceptance]:
        """Every event that was posted at least once, by key."""
        return acceptances(self.entries)

    @cached_property
    def acknowledged(self) -> dict[str, PlannedEvent]:
        """Every event of a body that was answered with 200, by key."""
        return {key: each.event for key, each in self.posted.items() if each.latest is not None}

    @cached_property
    def event_of(self) -> dict[str, StoredEvent]:
        """Stored events by key."""
        return {event.key: event for event in self.events}

    @cached_property
    def by_id(self) -> dict[int, StoredEvent]:
        """Stored events by id."""
        return {event.id: event for event in self.events}

    @cached_property
    def effects_of(self) -> dict[int, list[StoredEffect]]:
        """By event id, in the order of their commits."""
        effects = sorted(self.effects, key=lambda effect: effect.sequence)
        return grouped(effects, lambda effect: effect.event_id)

    @cached_property
    def attempts_of(self) -> dict[int, list[StoredAttempt]]:
        """By event id, in the order of their numbers."""
        attempts = sorted(self.attempts, key=lambda attempt: attempt.number)
        return grouped(attempts, lambda attempt: attempt.event_id)

    @property
    def dead_letters(self) -> int:
        """Messages in the queue of that name."""
        return self.queues.get(DEAD_LETTERS, 0)

    @property
    def waiting(self) -> dict[str, int]:
        """What the journal and each queue hold that a worker has still to look at."""
        return {name: count for name, count in self.queues.items() if name != DEAD_LETTERS}

    def history(self, key: str) -> list[str]:
        """Describe everything that is known of an event, a line each."""
        lines = [
            f"posted to {each.target} {each.began:.3f} to {each.ended:.3f}: {each.status}"
            for entry in self.entries
            if any(event.key == key for event in entry.events)
            for each in entry.tries
        ]
        event = self.event_of.get(key)
        if event is None:
            return [*lines, "no row"]
        lines.append(
            f"event {event.id} {event.state}, lane {event.lane}, occurred {event.occurred_at:.0f}, delivery "
            f"{event.delivery_id} at {event.position}, stored {event.stored_at:.3f}, late {event.late}, {event.error}"
        )
        lines += [
            f"attempt {each.number} by {each.worker} {each.started_at:.3f} to "
            f"{each.finished_at or 0:.3f}: {each.error}"
            for each in self.attempts_of.get(event.id, ())
        ]
        lines += [
            f"effect {each.sequence} of attempt {each.attempt}, {each.started_at:.3f} to {each.ended_at:.3f}, "
            f"late {each.late}"
            for each in self.effects_of.get(event.id, ())
        ]
        return lines


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Group items by a key, each group in the order in which its items come."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
