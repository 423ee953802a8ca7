"""The table in which handlers record what they committed, when, and in which order."""

from datetime import datetime

from sqlalchemy import BigInteger, DateTime, Identity, Text, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class EffectBase(DeclarativeBase):
    """Keeps the table apart from those of the pipeline, which migrations make."""


class RecordedEffect(EffectBase):
    """One run that was committed. No column is unique, so that a second run shows as a second row."""

    __tablename__ = "recorded_effects"

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    # NULL: there was no such job while it ran
    job_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    attempt: Mapped[int] = mapped_column(BigInteger)
    late: Mapped[bool]
    started_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())
    # Of the message that a status is about, as the handler read it
    status_seen: Mapped[str | None] = mapped_column(Text)
