"""The tables that distinguish duplicates from new events."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base


class SubjectState(Base):
    """A state that Meta sent without any id. It distinguishes a state that came back from a duplicate."""

    __tablename__ = "subject_states"

    subject: Mapped[str] = mapped_column(
        Text(collation="C"), primary_key=True
    )  # digest of what it is a state of
    said_at: Mapped[datetime] = mapped_column(
        primary_key=True
    )  # entry.time, or acceptance where there is none
    content_key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    dated: Mapped[bool]  # said_at is Meta's
    event_key: Mapped[str]
    accepted_at: Mapped[datetime]

    __table_args__ = (Index("subject_states_accepted", "accepted_at"),)


class ChangedDuplicate(Base):
    """A duplicate whose item differs from that of its event, once for each content."""

    __tablename__ = "changed_duplicates"

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_digest: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    delivery_id: Mapped[UUID]  # that brought it first
    position: Mapped[int] = mapped_column(Integer)
    accepted_at: Mapped[datetime]
    payload: Mapped[str]
