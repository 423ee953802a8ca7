"""The handlers of the fault test: each run that is committed leaves a row, and some runs fail, hang about or die.

What a run does is decided by the event and the attempt alone, so that a replay does the same.
"""

import os
import signal
import time
from datetime import datetime
from hashlib import blake2b

from sqlalchemy import BigInteger, DateTime, Identity, Text, func, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.handlers import Context, Event, Permanent, on_message, on_status
from tests.chaos.bodies import DIES, DIES_EACH_TIME, FAILS

FAILING = 0.05  # of the attempts
SLOW = 0.01  # of the attempts
SLOW_SECONDS = 1.5
BASE_SECONDS = 0.5
CAP_SECONDS = 4.0
LIVES = 3  # attempts of the message that kills each process; each costs a lease


class Base(DeclarativeBase):
    """Apart from the tables of the pipeline."""


class Effect(Base):
    """One run that was committed. Nothing in it is unique, so a second run would show."""

    __tablename__ = "chaos_effects"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger, index=True)
    attempt: Mapped[int] = mapped_column(BigInteger)
    worker: Mapped[str] = mapped_column(Text)
    late: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())


@on_message("text", base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def text(event: Event, ctx: Context) -> None:
    """Do what the text says, as far as this attempt is concerned."""
    if event.text == DIES and ctx.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if event.text == FAILS:
        if ctx.attempt > 1:
            raise Permanent("the message asked for it")
        raise RuntimeError("the message asked to fail")
    record(event, ctx)


@on_message(DIES_EACH_TIME, max_attempts=LIVES, base_seconds=BASE_SECONDS)
def lethal(event: Event, ctx: Context) -> None:
    """Kills the process that runs it, each time."""
    os.kill(os.getpid(), signal.SIGKILL)


@on_status(base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def status(event: Event, ctx: Context) -> None:
    """Statuses are handled as messages are."""
    record(event, ctx)


def record(event: Event, ctx: Context) -> None:
    """Fail or be slow by chance, and leave a row of it."""
    started_at = ctx.session.execute(select(func.clock_timestamp())).scalar_one()
    chance = _chance(event.key, ctx.attempt)
    if chance < FAILING:
        raise RuntimeError("by chance")
    if chance > 1 - SLOW:
        time.sleep(SLOW_SECONDS)
    ctx.session.add(
        Effect(
            event_id=event.id,
            attempt=ctx.attempt,
            worker=str(os.getpid()),
            late=event.late,
            started_at=started_at,
        )
    )


def _chance(key: str, attempt: int) -> float:
    """From 0 to 1, the same each time for the same attempt."""
    digest = blake2b(f"{key} {attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
