"""What a verdict is given: what was sent, and what the tables and queues show of it. Pure: no I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TypeVar
from uuid import UUID

from app.dev.simulator import PlannedEvent

Key = TypeVar("Key")
Thing = TypeVar("Thing")


@dataclass(frozen=True, slots=True)
class Sent:
    """What the sender knows; ``items`` are the events inside, each as often as it was posted."""

    posts: int  # well signed, redeliveries included
    tries: int  # more, where a post got no 200 and was sent again
    acknowledged: int  # posts that got a 200
    acknowledged_items: int
    tried_items: int
    forged: int
    forged_acknowledged: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """A row of ``events``, with the time at which its delivery was stored."""

    id: int
    key: str
    lane: int
    occurred_at: datetime
    delivery_id: UUID
    position: int
    stored_at: datetime
    state: str
    error: str | None

    @property
    def place(self) -> tuple[datetime, UUID, int]:
        """In its conversation."""
        return (self.occurred_at, self.delivery_id, self.position)


@dataclass(frozen=True, slots=True)
class Run:
    """A row of ``attempts``; ``finished_at`` None: the worker died under it."""

    event_id: int
    number: int
    worker: str
    started_at: datetime
    finished_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What a handler wrote in its transaction."""

    sequence: int
    event_id: int
    late: bool
    started_at: datetime
    ended_at: datetime
    status_seen: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A row of ``message_statuses``: the furthest, and all that have a time."""

    furthest: str
    reached: frozenset[str]


@dataclass(frozen=True, slots=True)
class Kill:
    """A worker's end; the time is Postgres's."""

    worker: str
    at: datetime


@dataclass(frozen=True)
class Facts:
    """Everything that is judged."""

    expected: Sequence[PlannedEvent]
    sent: Sent
    deliveries: int
    duplicates: int
    events: Sequence[StoredEvent]
    attempts: Sequence[Run]
    effects: Sequence[Effect]
    statuses: Mapping[str, Status]  # by message id
    waiting: Mapping[str, int]  # what the journal and each queue hold at the end
    dead_letters: int  # messages in the queue of that name
    kill: Kill | None = None

    @cached_property
    def event_of(self) -> dict[str, StoredEvent]:
        """By key."""
        return {event.key: event for event in self.events}

    @cached_property
    def effects_of(self) -> dict[int, list[Effect]]:
        """By event id, in the order of their commits."""
        return grouped(
            sorted(self.effects, key=lambda effect: effect.sequence), lambda effect: effect.event_id
        )

    @cached_property
    def attempts_of(self) -> dict[int, list[Run]]:
        """By event id, in the order of their starts."""
        return grouped(sorted(self.attempts, key=lambda run: run.started_at), lambda run: run.event_id)

    @cached_property
    def conversations(self) -> dict[str, list[PlannedEvent]]:
        """The planned events by conversation."""
        return grouped(self.expected, lambda planned: planned.conversation)

    @cached_property
    def interrupted(self) -> list[Run]:
        """Attempts that nobody finished: their worker was killed in the middle."""
        return [run for run in self.attempts if run.finished_at is None]

    def recovery(self, run: Run) -> timedelta | None:
        """From the kill to the next attempt of an interrupted event; None if there was none."""
        later = [again for again in self.attempts_of[run.event_id] if again.number > run.number]
        return later[0].started_at - self.kill.at if later and self.kill else None


def grouped(things: Iterable[Thing], key: Callable[[Thing], Key]) -> dict[Key, list[Thing]]:
    """Things of the same key together, in the order in which they come."""
    groups: dict[Key, list[Thing]] = {}
    for thing in things:
        groups.setdefault(key(thing), []).append(thing)
    return groups
