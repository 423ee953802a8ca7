"""What ingest holds in memory: accepted bodies, and the events about to be inserted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.payload import ParsedEvent
from app.stores import EventState, StoredIn

MAX_AHEAD = timedelta(days=1)  # of the time of acceptance: what is more is no difference of clocks


@dataclass(frozen=True, slots=True)
class Incoming:
    """An accepted body on its way into the tables."""

    id: UUID
    body: bytes
    stored_in: StoredIn = StoredIn.JOURNAL


@dataclass(slots=True)
class NewEvent:
    """An event about to be inserted."""

    event: ParsedEvent
    delivery: Incoming
    accepted_at: datetime
    handler: str | None
    error: str | None  # why the body could not be read: then the event is dead from the start
    lane: int = 0
    id: int | None = None  # once it is inserted; None: an event with its key was known
    key: str = ""  # the event's, or that of the state's event: see ``recurrences``
    changed: bool = False  # a duplicate whose item differs from that of its event

    def __post_init__(self) -> None:
        self.key = self.key or self.event.key

    @property
    def state(self) -> EventState:
        if self.error is not None:
            return EventState.DEAD
        return EventState.PENDING if self.handler else EventState.DONE

    @property
    def occurred_at(self) -> datetime:
        """Meta's time, or that of acceptance if there is none or it is further ahead than clocks differ.

        A time far ahead would make every later event of the conversation late.
        """
        if self.event.occurred_at is None:
            return self.accepted_at
        meta_time = datetime.fromtimestamp(self.event.occurred_at, UTC)
        return meta_time if meta_time - self.accepted_at <= MAX_AHEAD else self.accepted_at


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of some deliveries: every event of theirs, in the order of acceptance."""

    rows: list[NewEvent]
    settled: bool = False  # a status settled a send: the next of its conversation may leave

    @property
    def lanes(self) -> set[int]:
        """Return the lanes that got an event to run."""
        return {row.lane for row in self.rows if row.id is not None and row.state is EventState.PENDING}
