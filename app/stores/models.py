"""The tables. Postgres is the truth; what is in Redis can be rebuilt from here.

    deliveries ──1:n── events ──1:n── jobs, outcomes    (``job_models``)
                         │
    conversations ───────┘        conversation_aliases: every name of a conversation → its id
    message_statuses              one row for each message we sent (and group participant)
    subject_states                states that Meta sent without an id, to know one that came back
    changed_duplicates            duplicates of an event that differ from it
    erased_keys                   digests of what was erased: its repeats are known (``erasure_models``)
    erasures                      who had a person erased, when and why
    dead_letter_actions           who retried, edited, discarded or skipped what, when and why

An event is a fact: what Meta sent stays as it is. What is done about it is in its jobs.
"""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    Enum,
    Identity,
    Index,
    Integer,
    Sequence,
    Text,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class StoredIn(StrEnum):
    """Which store took a delivery."""

    JOURNAL = "journal"
    POSTGRES = "postgres"  # the fallback store, when Redis could not


class DeliveryState(StrEnum):
    STORED = "stored"  # waits in Postgres to be split; only the fallback store's deliveries are ever in it
    SPLIT = "split"  # its events are rows
    UNREADABLE = "unreadable"  # kept with its body; its one event is a dead letter


class JobState(StrEnum):
    """Where a job stands. All but the first are outcomes."""

    PENDING = "pending"  # waits for its turn, for its handler, or for its next attempt
    DONE = "done"  # its handler ran to its end and its effects are committed
    DEAD = "dead"  # failed for good; a person may retry or discard it
    DISCARDED = "discarded"  # it failed for good, and a person decided that it need not be handled
    SKIPPED = "skipped"  # it waited for its next attempt, and a person decided that it need not be handled
    STALE = "stale"  # too old for its handler before it could begin, or what it was to end had ended
    UNHANDLED = "unhandled"  # no handler was registered for its event when that was ingested


class MessageStatus(StrEnum):
    """A sent message's status, in rank order: the database compares the enum, so it only moves forward."""

    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"


def enum_column(values: type[StrEnum], name: str) -> Enum:
    return Enum(values, name=name, values_callable=lambda members: [m.value for m in members])


MAX_ID = 2**63 - 1  # of a bigint column


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  (SQLAlchemy's own contract)
        datetime: DateTime(timezone=True),
        int: BigInteger,
        str: Text,
        StoredIn: enum_column(StoredIn, "door"),
        DeliveryState: enum_column(DeliveryState, "delivery_state"),
        JobState: enum_column(JobState, "job_state"),
        MessageStatus: enum_column(MessageStatus, "message_status"),
    }


class Delivery(Base):
    """One POST body. ``body`` is kept only while it is needed: until it is split, or if it is unreadable."""

    __tablename__ = "deliveries"

    id: Mapped[UUID] = mapped_column(primary_key=True)  # UUIDv7: its order is the order of acceptance
    accepted_at: Mapped[datetime]
    stored_in: Mapped[StoredIn] = mapped_column("door", key="stored_in")
    state: Mapped[DeliveryState]
    body: Mapped[bytes | None]
    error: Mapped[str | None]
    ingested_at: Mapped[datetime | None]
    events: Mapped[int] = mapped_column(Integer, server_default="0")  # accepted from this delivery
    duplicates: Mapped[int] = mapped_column(Integer, server_default="0")  # known from an earlier one
    changed: Mapped[int] = mapped_column(Integer, server_default="0")  # of the duplicates, whose items differ

    __table_args__ = (
        Index("deliveries_stored", "id", postgresql_where=text("state = 'stored'")),
        Index("deliveries_ingested", "ingested_at"),
    )


# A conversation's number is that of its lane ``main`` too; other lanes, and events of no conversation, have
# numbers of their own from the same sequence.
lane_ids = Sequence("lane_ids", metadata=Base.metadata)


class ConversationRow(Base):
    """A user, or a group, that events are about, under one of the business's numbers."""

    __tablename__ = "conversations"

    id: Mapped[int] = mapped_column(lane_ids, primary_key=True)
    key: Mapped[str]  # the strongest name it was first known by
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    merged_into: Mapped[int | None]

    __table_args__ = (
        Index("conversations_merged", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
    )


class ConversationAlias(Base):
    """A name (phone_number_id with a BSUID, a phone or a group) → the conversation it stands for.

    No foreign key: a name is inserted before its conversation, since only the insert of the name tells
    whether somebody else created the conversation at the same moment.
    """

    __tablename__ = "conversation_aliases"

    key: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    conversation_id: Mapped[int] = mapped_column(index=True)


class EventRow(Base):
    """One message, status or other item inside a delivery: a fact, kept as Meta sent it.

    Two things about it follow what is learnt later: the earliest delivery that brought it, and its conversation.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    key: Mapped[str] = mapped_column(Text(collation="C"), unique=True)
    delivery_id: Mapped[UUID]
    position: Mapped[int] = mapped_column(Integer)  # its place in the body, from 0
    lane: Mapped[int]  # its conversation, or a number of its own
    occurred_at: Mapped[datetime]  # Meta's timestamp, or the time of acceptance where there is none
    accepted_at: Mapped[datetime]
    kind: Mapped[str]
    type: Mapped[str]
    payload: Mapped[str]  # JSON as ASCII text: jsonb cannot hold a NUL or a lone surrogate

    __table_args__ = (
        Index("events_delivery", "delivery_id"),
        Index("events_lane", "lane", "occurred_at", "delivery_id", "position"),
    )


class MessageState(Base):
    """A sent message's furthest status and the time of each (per participant in a group)."""

    __tablename__ = "message_statuses"

    message_id: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    participant: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True, server_default="")
    status: Mapped[MessageStatus]
    sent_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    played_at: Mapped[datetime | None]
    # Its events are purged; so are its times when Meta repeats none of them any more
    purge_after: Mapped[datetime | None]

    __table_args__ = (
        Index("message_statuses_purge", "purge_after", postgresql_where=text("purge_after IS NOT NULL")),
    )


class DeadLetterAction(Base):
    """A person's decision about a dead letter or a held job."""

    __tablename__ = "dead_letter_actions"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    event_id: Mapped[int] = mapped_column(index=True)
    job_id: Mapped[int] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    action: Mapped[str]  # retry, edit or discard of a dead letter; retry_held or skip of a held job
    who: Mapped[str]
    reason: Mapped[str | None]
    payload: Mapped[str | None]  # of an edit: the job's payload before it


class BacklogSample(Base):
    """How much was unfinished at a moment, and what happened since the sample before: growth and charts."""

    __tablename__ = "backlog_samples"

    at: Mapped[datetime] = mapped_column(primary_key=True, server_default=func.now())
    size: Mapped[int]
    oldest_seconds: Mapped[float]
    dead_letters: Mapped[int]
    journal: Mapped[int] = mapped_column(server_default="0")
    second_door: Mapped[int] = mapped_column(server_default="0")
    pending: Mapped[int] = mapped_column(server_default="0")
    held_lanes: Mapped[int] = mapped_column(server_default="0")
    workers: Mapped[int] = mapped_column(server_default="0")
    arrived: Mapped[int] = mapped_column(server_default="0")  # since the sample before, as the next four
    done: Mapped[int] = mapped_column(server_default="0")
    failed_attempts: Mapped[int] = mapped_column(server_default="0")
    died: Mapped[int] = mapped_column(server_default="0")
    unhandled: Mapped[int] = mapped_column(server_default="0")  # messages


class Alert(Base):
    """Where an alert stands; without a row it was never raised."""

    __tablename__ = "alerts"

    name: Mapped[str] = mapped_column(primary_key=True)
    raised: Mapped[bool] = mapped_column(server_default="false")
    suspected_at: Mapped[datetime | None]  # since when that holds which must last before the alert is raised
    raised_at: Mapped[datetime | None]
    seen_at: Mapped[
        datetime | None
    ]  # when a process last saw that it still holds; NULL where only the watch judges
    cleared_at: Mapped[datetime | None]
    value: Mapped[float | None]  # at the last change, as threshold and text are
    threshold: Mapped[float | None]
    text: Mapped[str | None]
    notified_at: Mapped[datetime | None]  # NULL while the last change has still to reach the webhook
    notify_after: Mapped[datetime | None]  # a watch is at it: no other tries before
