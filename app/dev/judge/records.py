"""What is stored and what ran, one class for each table; times are Unix seconds of Postgres's clock. Pure: no I/O."""

from dataclasses import dataclass

FINAL = ("done", "dead", "unhandled")  # states of a job

SortKey = tuple[float, str, int]  # occurred_at, delivery, position: the order that the product promises


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as Meta sent it."""

    id: int
    key: str
    occurred_at: float
    delivery_id: str
    position: int
    stored_at: float  # commit of the transaction that stored its delivery

    @property
    def sort_key(self) -> SortKey:
        """Its place in its conversation."""
        return (self.occurred_at, self.delivery_id, self.position)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """What one lane name, or a replay in it, had to do with an event, and what became of that."""

    id: int
    event_id: int
    lane_name: str
    lane: int  # that it belongs to by now
    state: str
    late: bool
    attempts: int
    error: str | None
    finished_at: float | None
    replay_id: int | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL and self.finished_at is not None


@dataclass(frozen=True, slots=True)
class StoredReplay:
    """A replay that a person began at ``began_at``: of events that were accepted in a span, in one lane name or all."""

    id: int
    began_at: float
    since: float | None
    until: float | None
    lane_name: str | None
    jobs: int  # that it made, by its own count
    finished: bool  # all of them were made


@dataclass(frozen=True, slots=True)
class StoredAttempt:
    """A row of ``job_attempts``; ``finished_at`` is None if its worker died before it could record the end."""

    job_id: int
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
    job_id: int | None
    attempt: int
    late: bool
    started_at: float
    ended_at: float
    status_seen: str | None = None


@dataclass(frozen=True, slots=True)
class StoredSend:
    """A reply in the outbox."""

    event_id: int
    handler: str
    state: str
    unsure: bool  # it may have been sent
    lost_answers: int  # attempts of which no answer is known
    error: str | None


@dataclass(frozen=True, slots=True)
class TargetCall:
    """A call that a target received, whatever it answered; times are of the clock that Postgres has too."""

    id: str  # webhook-id
    event_id: int
    at: float


@dataclass(frozen=True, slots=True)
class ReceivedReply:
    """A reply that the stand-in for Meta took; ``order`` counts what it took."""

    order: int
    message_id: str  # of the message that it answers


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """A row of ``message_statuses``: the furthest status, and all that have a time."""

    furthest: str
    reached: frozenset[str]
