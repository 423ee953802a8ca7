"""What is stored and what ran, one class for each table; times are Unix seconds of Postgres's clock. Pure: no I/O."""

from dataclasses import dataclass

FINAL = ("done", "dead", "unhandled")  # states of a job

SortKey = tuple[float, str, int]  # occurred_at, delivery, position: the order that the product promises


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event, with its first job or what became of that."""

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
    def sort_key(self) -> SortKey:
        """Its place in its conversation."""
        return (self.occurred_at, self.delivery_id, self.position)


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """A row of ``job_attempts``; ``finished_at`` is None if its worker died before it could record the end."""

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
        """Of the process that ran it; 0 if the worker's name has none."""
        number = self.worker.rpartition("/")[2]
        return int(number) if number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class StoredEffect:
    """A row that a handler wrote in its transaction."""

    sequence: int
    event_id: int
    attempt: int
    late: bool
    started_at: float
    ended_at: float
    status_seen: str | None = None


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """A row of ``message_statuses``: the furthest status, and all that have a time."""

    furthest: str
    reached: frozenset[str]
