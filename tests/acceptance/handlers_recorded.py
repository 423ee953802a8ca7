"""The handlers of the acceptance tests: they do what the message's text says, and record that they ran.

A text is pairs of a word and its value, such as ``number 3 sleep 0.1``. The record is written in the
transaction that marks the event done, so the rows that can be read are effects that were committed.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, MetaData, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.handlers import Context, Event, Permanent, on_event, on_message, on_status

GATES = (
    "ACCEPTANCE_GATES"  # environment variable: a directory; a file in it lets the message of that number pass
)
LOOK_SECONDS = 0.02
MAX_SECONDS = 3600


class Recorded(DeclarativeBase):
    """Apart from the pipeline's own tables."""

    metadata = MetaData()


class Effect(Recorded):
    """One run of a handler whose effects were committed."""

    __tablename__ = "acceptance_effects"

    id: Mapped[int] = mapped_column(primary_key=True)
    event_id: Mapped[int] = mapped_column(index=True)
    key: Mapped[str]
    conversation: Mapped[str | None]
    number: Mapped[int | None]
    attempt: Mapped[int]
    pid: Mapped[int]
    late: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.clock_timestamp()
    )
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


def record(event: Event, ctx: Context) -> None:
    """Obey the text, between the two moments that are recorded."""
    words = (event.text or "").split()
    orders = dict(zip(words[::2], words[1::2], strict=False))
    effect = Effect(
        event_id=event.id,
        key=event.key,
        conversation=event.conversation,
        number=int(orders["number"]) if "number" in orders else None,
        attempt=ctx.attempt,
        pid=os.getpid(),
        late=event.late,
        started_at=datetime.now(UTC),
    )
    ctx.session.add(effect)
    ctx.session.flush()
    obey(orders, ctx.attempt)
    effect.ended_at = datetime.now(UTC)


def obey(orders: dict[str, Any], attempt: int) -> None:
    """``sleep SECONDS``, ``fail ATTEMPTS``, ``hang ATTEMPTS``, ``permanent yes``, ``block yes``, ``closed yes``.

    ``block`` holds the first attempt until the message's gate is open, the next ones pass; ``closed`` fails while
    the gate is closed.
    """
    gate = Path(os.environ[GATES]) / str(orders.get("number"))
    time.sleep(float(orders.get("sleep", 0)))
    while "block" in orders and attempt == 1 and not gate.exists():
        time.sleep(LOOK_SECONDS)
    if "closed" in orders and not gate.exists():
        raise RuntimeError("the gate is closed")
    if attempt <= int(orders.get("hang", 0)):
        time.sleep(MAX_SECONDS)
    if attempt <= int(orders.get("fail", 0)):
        raise RuntimeError("the message asked to fail")
    if "permanent" in orders:
        raise Permanent("the message asked for it")


@on_message("text", max_attempts=4, base_seconds=0.2)
def recorded_text(event: Event, ctx: Context) -> None:
    record(event, ctx)


@on_message("button", max_attempts=4, base_seconds=0.2, time_limit_seconds=1)
def recorded_impatiently(event: Event, ctx: Context) -> None:
    """Takes a text too, so that it can be told to hang."""
    record(event, ctx)


@on_status("failed")
def recorded_failure(event: Event, ctx: Context) -> None:
    record(event, ctx)


@on_event("account_update")
def recorded_update(event: Event, ctx: Context) -> None:
    record(event, ctx)
