"""What a lane's handlers keep from one message to the next, and which answer they wait for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, Integer, text
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base


class DialogRow(Base):
    """The dialog of a lane: ``ctx.state``, and what ``ctx.expect`` asked for.

    A turn is a change of what is expected. Its place is that of the job that made it: what comes before it in the lane
    was written before the question was asked, and is no answer.
    """

    __tablename__ = "dialogs"

    lane: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    changed_at: Mapped[datetime]
    state: Mapped[str | None]  # JSON as ASCII text
    turned_by: Mapped[int | None]  # the job that made the last turn
    turned_occurred_at: Mapped[datetime | None]  # with the next two its place
    turned_delivery_id: Mapped[UUID | None]
    turned_position: Mapped[int | None] = mapped_column(Integer)
    expects: Mapped[str | None]  # the name that the next message is an answer to; NULL: nothing is expected
    answer_handler: Mapped[str | None]
    timeout_handler: Mapped[str | None]
    due_at: Mapped[datetime | None]  # when it times out; NULL: never, or its job is made already
    asked_event_id: Mapped[int | None]  # the event whose handler asked

    __table_args__ = (
        Index("dialogs_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("dialogs_asked", "asked_event_id", postgresql_where=text("due_at IS NOT NULL")),
        Index("dialogs_changed", "changed_at"),
    )
