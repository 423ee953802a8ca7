"""A webhook body → its events. Pure: no I/O."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """What a status says of a message that we sent; only of ordinary messages, not of payments or calls."""

    message_id: str
    participant: str  # "" outside groups
    status: str  # sent, failed, delivered, read, played
    occurred_at: int | None  # Unix seconds


@dataclass(frozen=True, slots=True)
class ParsedEvent:
    """One item of a body. Every text in it is storable: no NUL, no lone surrogate, at most 500 characters."""

    index: int  # place in the body, from 0
    kind: Literal["message", "status", "other"]
    type: str
    key: str
    aliases: tuple[str, ...]  # every name of its conversation, the strongest first; () where it has none
    occurred_at: int | None  # Unix seconds
    payload: str  # JSON, ASCII: {"entry": id, "field", "value": without its lists, "item"}
    status: StatusUpdate | None = None

    @property
    def conversation(self) -> str | None:
        return self.aliases[0] if self.aliases else None


@dataclass(frozen=True, slots=True)
class ParsedBody:
    """``unreadable`` says why a body could not be read; then ``events`` holds one event of that type."""

    events: list[ParsedEvent]
    unreadable: str | None = None


def parse(body: bytes) -> ParsedBody:
    """Split a body; never raises."""
    raise NotImplementedError
