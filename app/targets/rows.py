"""What goes between a forwarder and its tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.handlers import Event
from app.targets.answers import TargetDecision
from app.targets.replies import Reply
from app.targets.target import Target


@dataclass(frozen=True, slots=True)
class TargetAttempt:
    """An attempt that is committed: what is to be posted, and to whom."""

    target: Target
    lane: int
    job_id: int
    number: int  # ever, the fencing token
    since_retry: int  # since the last retry by a person, from 1
    age_seconds: float  # since it was accepted, or retried
    replay_id: int | None
    event: Event
    burst: tuple[Event, ...] = ()  # of a target that joins: all of its events, ``event`` the first

    @property
    def events(self) -> tuple[Event, ...]:
        """Return what is to be posted."""
        return self.burst or (self.event,)

    @property
    def payloads(self) -> str:
        """Return what is hidden from logs while it is reported, as JSON."""
        return f"[{','.join(event.payload for event in self.events)}]"


@dataclass(frozen=True, slots=True)
class TargetResult:
    """How an attempt ended."""

    attempt: TargetAttempt
    decision: TargetDecision
    answer: str | None = None  # its beginning
    replies: Sequence[Reply] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TargetHead:
    """The first job of a lane, as it stands in the tables, with its event."""

    lane: int
    id: int
    attempts: int
    attempts_at_retry: int
    delivery_id: str
    fresh: bool  # young enough that an earlier delivery may not be stored yet
    replay_id: int | None
    age_seconds: float
    event_id: int
    key: str
    kind: str
    type: str
    conversation: str | None
    occurred_at: Any
    accepted_at: Any
    payload: str
    gathers: bool  # it may begin a burst that is open still

    def attempt(self, target: Target, number: int, late: bool) -> TargetAttempt:
        event = Event(
            self.event_id, self.key, self.kind, self.type, self.conversation, self.occurred_at, self.accepted_at,
            late, self.payload,
        )  # fmt: skip
        since_retry = number - self.attempts_at_retry
        return TargetAttempt(
            target, self.lane, self.id, number, since_retry, self.age_seconds, self.replay_id, event
        )
