"""What is kept about targets; what they have to be sent are jobs like any other."""

from datetime import datetime

from sqlalchemy import func
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base


class PausedTarget(Base):
    """A target to which nothing is posted until a person resumes it."""

    __tablename__ = "paused_targets"

    name: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    who: Mapped[str | None]  # NULL: it answered 410
    reason: Mapped[str | None]
