"""What ingest holds in memory: accepted bodies, and the events about to be inserted."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.handlers import MAIN_LANE
from app.payload import ParsedEvent
from app.stores import JobState, StoredIn

MAX_AHEAD = timedelta(days=1)  # of the time of acceptance: what is more is no difference of clocks


@dataclass(frozen=True, slots=True)
class Incoming:
    """An accepted body on its way into the tables."""

    id: UUID
    body: bytes
    stored_in: StoredIn = StoredIn.JOURNAL


@dataclass(slots=True)
class NewJob:
    """A job about to be inserted with its event."""

    handler: str
    lane_name: str = MAIN_LANE
    lane: int = 0


@dataclass(slots=True)
class NewEvent:
    """An event about to be inserted."""

    event: ParsedEvent
    delivery: Incoming
    accepted_at: datetime
    jobs: list[NewJob]  # one for each lane name that has a handler for it
    error: str | None  # why the body could not be read: then it is a dead letter from the start
    lane: int = 0  # its conversation, or a number of its own
    id: int | None = None  # once it is inserted; None: an event with its key was known
    key: str = ""  # the event's, or that of the state's event: see ``recurrences``
    changed: bool = False  # a duplicate whose item differs from that of its event

    def __post_init__(self) -> None:
        self.key = self.key or self.event.key

    @property
    def outcome(self) -> JobState | None:
        """Return what becomes of it at once; None if it has jobs."""
        if self.error is not None:
            return JobState.DEAD
        return None if self.jobs else JobState.UNHANDLED

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
        """Return the lanes that got a job."""
        return {job.lane for row in self.rows if row.id is not None for job in row.jobs}
