"""What the checker is given: the tables and queues as a user could read them, and the ledger. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from tests.chaos.bodies import SentEvent
from tests.chaos.ledger import Acceptance, Entry, acceptances

Place = tuple[float, str, int]  # occurred_at, delivery, position: the order that the product promises


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of ``events``; times are Unix seconds."""

    id: int
    key: str
    lane: int
    occurred_at: float
    delivery_id: str
    position: int
    state: str
    late: bool
    attempts: int
    error: str | None
    stored_at: float  # commit of the transaction that stored its delivery
    finished_at: float | None

    @property
    def place(self) -> Place:
        return (self.occurred_at, self.delivery_id, self.position)


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of ``attempts``; ``finished_at`` None: nobody lived to write down how it ended."""

    event_id: int
    number: int
    worker: str  # name@host/pid
    started_at: float
    finished_at: float | None
    error: str | None

    @property
    def succeeded(self) -> bool:
        return self.finished_at is not None and self.error is None

    @property
    def pid(self) -> int:
        number = self.worker.rpartition("/")[2]
        return int(number) if number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Effect:
    """A row that a handler wrote in its transaction."""

    sequence: int
    event_id: int
    attempt: int
    late: bool
    started_at: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class PastFault:
    """A fault from its begin to its end (Unix seconds)."""

    kind: str
    began_at: float
    ended_at: float


@dataclass(frozen=True)
class Facts:
    """Everything that is judged. ``queues``: what the journal and each queue hold at the end."""

    entries: Sequence[Entry]
    events: Sequence[StoredEvent]
    attempts: Sequence[Attempt]
    effects: Sequence[Effect]
    statuses: Mapping[str, str]  # message id → the furthest
    queues: Mapping[str, int] = field(default_factory=dict)
    faults: Sequence[PastFault] = ()

    @cached_property
    def sent(self) -> dict[str, Acceptance]:
        """Every event that was posted at least once, by key."""
        return acceptances(self.entries)

    @cached_property
    def acknowledged(self) -> dict[str, SentEvent]:
        """Every event of a body that was answered with 200, by key."""
        return {key: known.event for key, known in self.sent.items() if known.latest is not None}

    @cached_property
    def event_of(self) -> dict[str, StoredEvent]:
        return {event.key: event for event in self.events}

    @cached_property
    def by_id(self) -> dict[int, StoredEvent]:
        return {event.id: event for event in self.events}

    @cached_property
    def effects_of(self) -> dict[int, list[Effect]]:
        found: dict[int, list[Effect]] = {}
        for effect in sorted(self.effects, key=lambda effect: effect.sequence):
            found.setdefault(effect.event_id, []).append(effect)
        return found

    @cached_property
    def attempts_of(self) -> dict[int, list[Attempt]]:
        found: dict[int, list[Attempt]] = {}
        for attempt in sorted(self.attempts, key=lambda attempt: (attempt.event_id, attempt.number)):
            found.setdefault(attempt.event_id, []).append(attempt)
        return found

    def history(self, key: str) -> list[str]:
        """Everything that is known of an event, a line each."""
        lines = [
            f"posted to {each.web} {each.began:.3f} to {each.ended:.3f}: {each.status}"
            for entry in self._entries_with(key)
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

    def _entries_with(self, key: str) -> list[Entry]:
        return [entry for entry in self.entries if any(event.key == key for event in entry.post.events)]
