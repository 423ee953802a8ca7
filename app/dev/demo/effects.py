"""The table that the demo's handler writes to: what was committed, when, and in which order."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class DemoBase(DeclarativeBase):
    """Apart from the tables of the pipeline."""


class DemoEffect(DemoBase):
    """One row for each run that was committed. Nothing in it is unique, so a second run would show."""

    __tablename__ = "demo_effects"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(BigInteger)
    attempt: Mapped[int] = mapped_column(BigInteger)
    late: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    status_seen: Mapped[str | None] = mapped_column(
        Text
    )  # of the message that a status is about, as it stood
