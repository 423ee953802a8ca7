"""What is kept of a person who was erased: nothing that names them."""

from datetime import datetime

from sqlalchemy import Identity, Index, Integer, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base


class Erasure(Base):
    """Who had a person erased, when and why; not whom."""

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    who: Mapped[str]
    reason: Mapped[str | None]
    chosen_by: Mapped[str]  # phone, user or conversation
    finished_at: Mapped[datetime | None]  # NULL: it was stopped half way, and is to be run again
    events: Mapped[int] = mapped_column(server_default="0")  # deleted so far, as the next two
    unfinished_jobs: Mapped[int] = mapped_column(server_default="0")
    sends: Mapped[int] = mapped_column(server_default="0")


class ErasedKey(Base):
    """The digest of an event's key, or of its message's id: what Meta repeats of it is not stored again."""

    __tablename__ = "erased_keys"

    digest: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)  # SHA-256, hex
    erased_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (Index("erased_keys_at", "erased_at"),)
