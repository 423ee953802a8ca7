"""The tables of the outbox: what handlers send, each attempt's answer, and what people decided."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Identity, Index, Integer, SmallInteger, Text, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base, MessageStatus, enum_column


class SendState(StrEnum):
    """Where a send stands; what became of it on the user's phone is its ``status``."""

    QUEUED = "queued"  # waits for its turn, or for its next attempt
    SENDING = "sending"  # committed before the POST: a sender is at it
    ACCEPTED = "accepted"  # Meta took it
    UNKNOWN = "unknown"  # it may have been sent; a status webhook may settle it yet
    DEAD = "dead"  # not sent, or not known for too long; a person decides
    DROPPED = "dropped"  # a person decided that it need not be sent, or that it was
    CANCELLED = "cancelled"  # by its key, before it left


class SendRow(Base):
    """One message that a handler wrote, once for each event, handler and step."""

    __tablename__ = "sends"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[int]
    handler: Mapped[str]
    step: Mapped[str]
    number: Mapped[str]  # the business's phone_number_id
    conversation: Mapped[str]  # its key: sends of one leave in the order of their ids
    recipient_kind: Mapped[str]  # phone, user (a BSUID) or group
    recipient: Mapped[str]
    body: Mapped[str]  # the message object as JSON
    outside_window: Mapped[str | None]  # the template that leaves instead when the window is closed
    window_closes_at: Mapped[datetime | None]  # as known when it was written
    delays_next: Mapped[MessageStatus | None]  # the next send waits for this status, for a while
    cancel_key: Mapped[str | None]
    callback: Mapped[UUID]  # comes back in every status of the message
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    state: Mapped[SendState] = mapped_column(enum_column(SendState, "send_state"), server_default="queued")
    holds: Mapped[bool] = mapped_column(server_default="true")  # later sends of its conversation wait
    due_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    held_until: Mapped[datetime | None]  # when a sweep ends ``sending``, ``unknown`` or the wait for a status
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    sender: Mapped[str | None]  # which worker and process posted it last: worker/process
    unsure: Mapped[bool] = mapped_column(server_default="false")  # an attempt of it may have been sent
    unknown_since: Mapped[datetime | None]
    message_id: Mapped[str | None] = mapped_column(Text(collation="C"))
    status: Mapped[MessageStatus | None]
    accepted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    error_code: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("event_id", "handler", "step", name="sends_step"),
        UniqueConstraint("callback", name="sends_callback"),
        Index("sends_holding", "number", "conversation", "id", postgresql_where=text("holds")),
        Index("sends_held", "held_until", postgresql_where=text("held_until IS NOT NULL")),
        Index("sends_undecided", "id", postgresql_where=text("state IN ('unknown', 'dead')")),
        Index("sends_finished", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index(
            "sends_cancel",
            "cancel_key",
            postgresql_where=text("state = 'queued' AND cancel_key IS NOT NULL"),
        ),
        Index("sends_message", "message_id", postgresql_where=text("message_id IS NOT NULL")),
    )


class SendAttempt(Base):
    """What came back for one POST."""

    __tablename__ = "send_attempts"

    send_id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    answer: Mapped[str]


class SendAction(Base):
    """A person's decision about a send."""

    __tablename__ = "send_actions"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    send_id: Mapped[int] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    action: Mapped[str]  # send_again, was_sent or drop
    who: Mapped[str]
    reason: Mapped[str | None]


class StoppedNumber(Base):
    """A number from which nothing leaves until it has another token, or a person resumes it."""

    __tablename__ = "stopped_numbers"

    number: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    token_digest: Mapped[str]  # of the token that was refused
    error_code: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str]
