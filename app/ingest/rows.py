"""What ingest holds in memory: accepted bodies, and the events about to be inserted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from app.handlers import MAIN_LANE, TARGET_LANE
from app.payload import ParsedEvent
from app.stores import JobState, Priority, StoredIn

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
    priority: Priority = Priority.NORMAL
    lane: int = 0
    join_seconds: float | None = None  # its handler waits so long for further messages

    @property
    def is_targets(self) -> bool:
        """Whether a forwarder runs it."""
        return self.lane_name.startswith(TARGET_LANE)


@dataclass(slots=True)
class NewEvent:
    """An event about to be inserted."""

    event: ParsedEvent
    delivery: Incoming
    accepted_at: datetime
    jobs: list[NewJob]  # one for each lane name that has a handler for it
    error: str | None  # why the body could not be read: then it is a dead letter from the start
    lane: int = 0  # of its conversation or its subject, or a number of its own
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
    def is_ordered(self) -> bool:
        """Whether others belong to its lane too."""
        return bool(self.event.aliases) or self.event.subject is not None

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
        """Return the lanes that got a job for a worker."""
        return {job.lane for job in self._jobs if not job.is_targets}

    @property
    def has_forwards(self) -> bool:
        """Whether a target got a job."""
        return any(job.is_targets for job in self._jobs)

    @property
    def _jobs(self) -> Iterator[NewJob]:
        return (job for row in self.rows if row.id is not None for job in row.jobs)
