"""What is to be done about events, and what became of it.

    events ──1:n── jobs          what has still to be done: small and narrow, since every attempt writes here
              └─1:n── outcomes   what became of the others; a row is only ever removed by a retry, or when it is purged
    jobs, outcomes ──1:n── past_attempts   those that failed or were lost
    lanes          the jobs of one conversation for one lane name run here, in order
    lane_names     ``main`` and what handlers name beside it
    replays        who had events run again, which, and why

States of a job::

    ingested ──handler?──▶ pending ──▶ done, stale
        │                   │  ▲ │
        │                   │  │ └─ skip (by a person) ─▶ skipped
        └─ none ─▶ unhandled▼  │ retry (by a person)
                           dead ─┴─▶ discarded (by a person)

An event's first job has the event's own number; further ones (of other lanes, of replays) have numbers of their own
from the same sequence, so that no job has the number of another event.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Identity, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from app.stores.models import Base, JobState

MAIN_LANE_NAME = 1  # the number of ``main`` in ``lane_names``

# Rows live for seconds: room for the versions of an attempt on the same page, and a vacuum that keeps up
HOT_TABLE = {
    "postgresql_with": {
        "fillfactor": "50",
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_cost_delay": "0",
    }
}


class JobRow(Base):
    """What one handler has still to do with one event.

    No index holds a column that changes between the beginning and the end of an attempt.
    """

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    event_id: Mapped[int]
    lane: Mapped[int]
    lane_name_id: Mapped[int] = mapped_column(SmallInteger)
    occurred_at: Mapped[datetime]  # with the next two its place in the lane
    delivery_id: Mapped[UUID]
    position: Mapped[int] = mapped_column(Integer)
    since: Mapped[datetime]  # it waits: acceptance, a person's retry, or the slot that a slow retry gave it
    due_at: Mapped[datetime | None]  # not before; NULL is at once
    begun_at: Mapped[datetime | None]  # while an attempt runs, or if its worker died
    replay_id: Mapped[int | None] = mapped_column(Integer)
    attempts: Mapped[int] = mapped_column(
        SmallInteger, server_default="0"
    )  # ever begun: the fence; never reset
    # `attempts` at its last retry by a person
    attempts_at_retry: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    holds: Mapped[bool] = mapped_column(server_default="true")  # while it waits for due_at its lane waits too
    late: Mapped[bool] = mapped_column(server_default="false")  # begun after a later one of its lane was done
    handler: Mapped[str]  # that is to run it
    worker: Mapped[str | None]  # that runs it
    error: Mapped[str | None]  # of the last failed attempt, as "Class: text"
    payload: Mapped[str | None]  # mended by a person; NULL: the event's
    # Of a handler that joins: until then a further message may belong to its burst
    quiet_at: Mapped[datetime | None]
    # The first job of the burst, once that is fixed: it runs them all. The others neither hold nor are due
    joined_to: Mapped[int | None]
    # Its attempt began together with others, in one transaction: see ``app.lanes.group``
    grouped: Mapped[bool] = mapped_column(server_default="false")

    __table_args__ = (
        Index("jobs_quiet", "quiet_at", postgresql_where=text("quiet_at IS NOT NULL")),
        Index("jobs_joined", "joined_to", postgresql_where=text("joined_to IS NOT NULL")),
        Index("jobs_lane", "lane", "occurred_at", "delivery_id", "position", "id"),
        Index("jobs_event", "event_id"),
        Index("jobs_replay", "replay_id", postgresql_where=text("replay_id IS NOT NULL")),
        Index("jobs_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index(
            "jobs_of_targets",
            "lane_name_id",
            "lane",
            "occurred_at",
            "delivery_id",
            "position",
            "id",
            postgresql_where=text("lane_name_id < 0"),
        ),
        HOT_TABLE,
    )


class JoinedJob(Base):
    """Which burst a job was run in, for as long as its outcome is kept; the first job is in it too."""

    __tablename__ = "joined_jobs"

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    leader: Mapped[int] = mapped_column(index=True)  # the first job


class OutcomeRow(Base):
    """What became of a job."""

    __tablename__ = "outcomes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # the job's
    event_id: Mapped[int]
    lane: Mapped[int]
    begun_at: Mapped[datetime | None]  # of the attempt that succeeded
    finished_at: Mapped[datetime]
    replay_id: Mapped[int | None] = mapped_column(Integer)
    lane_name_id: Mapped[int] = mapped_column(SmallInteger)
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    attempts_at_retry: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    state: Mapped[JobState]
    late: Mapped[bool] = mapped_column(server_default="false")
    handler: Mapped[str | None]  # NULL when none was registered
    worker: Mapped[str | None]  # of the attempt that succeeded
    error: Mapped[str | None]
    payload: Mapped[str | None]
    answer: Mapped[str | None]  # of a target, its beginning

    __table_args__ = (
        Index("outcomes_event", "event_id"),
        Index("outcomes_finished", "finished_at"),
        Index("outcomes_stale", "finished_at", postgresql_where=text("state = 'stale'")),
        Index("outcomes_dead", "id", postgresql_where=text("state = 'dead'")),
        Index("outcomes_died", "finished_at", "id", postgresql_where=text("state = 'dead'")),
        Index("outcomes_dead_lane", "lane", postgresql_where=text("state = 'dead'")),
    )


class PastAttempt(Base):
    """A run of a handler that failed, or whose worker died under it: then ``finished_at`` is NULL."""

    __tablename__ = "past_attempts"

    job_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    worker: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str | None]
    traceback: Mapped[str | None]
    answer: Mapped[str | None]  # of a target, its beginning

    __table_args__ = (
        Index("past_attempts_failed", "finished_at", postgresql_where=text("error IS NOT NULL")),
    )


class LaneName(Base):
    """A name that handlers are registered under; each has lanes of its own. Those of targets are below zero."""

    __tablename__ = "lane_names"

    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)


class LaneRow(Base):
    """The order of the last job done in a lane (what is earlier comes late), and which job was begun last in it."""

    __tablename__ = "lanes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    conversation_id: Mapped[int]
    merged_into: Mapped[int | None]  # another lane, as its conversation
    watermark_occurred_at: Mapped[datetime | None]
    watermark_delivery_id: Mapped[UUID | None]
    current_job_id: Mapped[int | None]  # the one that was begun last: no other may become done
    paused_at: Mapped[datetime | None]  # since when its jobs wait for a person, or until ``paused_until``
    paused_until: Mapped[datetime | None]  # when it is resumed by itself; NULL: by a person alone
    watermark_position: Mapped[int | None] = mapped_column(Integer)
    lane_name_id: Mapped[int] = mapped_column(SmallInteger)
    paused_by: Mapped[str | None]
    paused_why: Mapped[str | None]
    # Messages that came during the pause, with jobs after this number, are skipped when it ends; NULL: they run then
    skips_after: Mapped[int | None]

    __table_args__ = (
        Index(
            "lanes_of_conversation",
            "conversation_id",
            "lane_name_id",
            unique=True,
            postgresql_where=text("merged_into IS NULL"),
        ),
        Index("lanes_merged", "merged_into", postgresql_where=text("merged_into IS NOT NULL")),
        Index("lanes_paused", "id", postgresql_where=text("paused_at IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "60"}},
    )


class ReplayRow(Base):
    """Events that a person had run again."""

    __tablename__ = "replays"

    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    who: Mapped[str]
    reason: Mapped[str | None]
    chosen: Mapped[str]  # by which conditions, as JSON
    jobs: Mapped[int] = mapped_column(server_default="0")  # that were made so far
    stopped_at: Mapped[datetime | None]  # by a person: what had not begun was taken back
    stopped_by: Mapped[str | None]
    sends_again: Mapped[bool] = mapped_column(
        server_default="false"
    )  # what its handlers sent before leaves again
    events: Mapped[int | None]  # that match
    looked_at: Mapped[int] = mapped_column(server_default="0")  # of these, so far
    advanced_at: Mapped[datetime | None]  # when the last part of its jobs was made
    finished_at: Mapped[datetime | None]  # when all of them were made
