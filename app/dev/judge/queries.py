"""Read what is judged from the tables and queues: nothing that a user could not read.

Every query of the demo and of the fault test stands here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Engine, text

from app.dev.judge.facts import Facts
from app.dev.judge.ledger import Entry
from app.dev.judge.records import (
    StoredAttempt,
    StoredEffect,
    StoredEvent,
    StoredJob,
    StoredReplay,
    StoredSend,
    StoredStatus,
)
from app.stores import BULK_WAKES, JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, URGENT_WAKES, WAKES
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS, DEAD_LETTERS, WEBHOOKS

# A delivery's row is written once, so the commit of its writer tells from when on its events could be seen.
# Without track_commit_timestamp the time of the statement stands in for it.
EVENTS = text("""
SELECT e.id, e.key, extract(epoch FROM e.occurred_at)::float AS occurred_at, e.delivery_id::text, e.position,
       extract(epoch FROM CASE WHEN current_setting('track_commit_timestamp') = 'on'
                          THEN pg_xact_commit_timestamp(d.xmin) ELSE d.ingested_at END)::float AS stored_at
FROM events e JOIN deliveries d ON d.id = e.delivery_id
""")
JOBS = text("""
SELECT j.id, j.event_id, n.name AS lane_name, coalesce(l.merged_into, j.lane) AS lane, j.state::text, j.late,
       j.attempts, j.error, extract(epoch FROM j.finished_at)::float AS finished_at, j.replay_id
FROM event_jobs j JOIN lane_names n ON n.id = j.lane_name_id LEFT JOIN lanes l ON l.id = j.lane
""")
REPLAYS = text("""
SELECT id, extract(epoch FROM at)::float AS began_at,
       extract(epoch FROM CAST(CAST(chosen AS json) ->> 'since' AS timestamptz))::float AS since,
       extract(epoch FROM CAST(CAST(chosen AS json) ->> 'until' AS timestamptz))::float AS until,
       CAST(chosen AS json) ->> 'lane' AS lane_name, jobs, finished_at IS NOT NULL AS finished
FROM replays
""")
ATTEMPTS = text("""
SELECT job_id, number, worker, extract(epoch FROM started_at)::float AS started_at,
       extract(epoch FROM finished_at)::float AS finished_at, error
FROM job_attempts
""")
EFFECTS = text("""
SELECT sequence, job_id, attempt, late, extract(epoch FROM started_at)::float AS started_at,
       extract(epoch FROM ended_at)::float AS ended_at, status_seen
FROM recorded_effects
""")
# Each POST that was answered is a row; what its sender's death or no answer left has none, or one that says so
SENDS = text("""
SELECT s.event_id, s.handler, s.state::text, s.unsure,
       s.attempts - (SELECT count(*) FROM send_attempts a
                     WHERE a.send_id = s.id AND (a.answer = 'accepted' OR a.answer LIKE '(%')) AS lost_answers,
       s.error
FROM sends s
""")
STATUSES = text("""
SELECT message_id, status::text AS furthest,
       array_remove(ARRAY[CASE WHEN sent_at IS NOT NULL THEN 'sent' END,
                          CASE WHEN failed_at IS NOT NULL THEN 'failed' END,
                          CASE WHEN delivered_at IS NOT NULL THEN 'delivered' END,
                          CASE WHEN read_at IS NOT NULL THEN 'read' END,
                          CASE WHEN played_at IS NOT NULL THEN 'played' END], NULL) AS reached
FROM message_statuses
""")
DELIVERIES = text("""
SELECT count(*) AS deliveries, coalesce(sum(duplicates), 0)::bigint AS duplicates,
       count(*) FILTER (WHERE state = 'stored') AS unsplit
FROM deliveries
""")
PROGRESS = text("""
SELECT jobs + outcomes AS events, outcomes AS final, (SELECT count(*) FROM outcomes WHERE state = 'dead') AS dead,
       (SELECT count(*) FROM sends WHERE state IN ('queued', 'sending')) AS unsent
FROM (SELECT (SELECT count(*) FROM jobs) AS jobs, (SELECT count(*) FROM outcomes) AS outcomes) AS counted
""")
AT_WORK = text("""
SELECT split_part(j.worker, '@', 1) FROM jobs j JOIN events e ON e.id = j.event_id
WHERE e.key = ANY(:keys) AND j.begun_at > clock_timestamp() - make_interval(secs => :just_begun)
ORDER BY j.begun_at DESC LIMIT 1
""")
NOW = text("SELECT extract(epoch FROM clock_timestamp())::float")

ZSETS = (JOURNAL_INDEX, JOURNAL_REQUEUED, WAKES, BULK_WAKES, URGENT_WAKES)
QUEUES = (WEBHOOKS, CONVERSATIONS, BULK_CONVERSATIONS, DEAD_LETTERS)
JUST_BEGUN_SECONDS = 1.0  # a slow handler that began within this will run for as long again


@dataclass(frozen=True, slots=True)
class PipelineProgress:
    """How far the pipeline has come."""

    events: int
    final: int
    dead: int
    dead_letters: int  # messages in the queue of that name
    unsplit: int  # deliveries that are stored and not split into events yet
    waiting: int  # deliveries and wakes that are under way
    unsent: int  # replies that wait or are under way

    @property
    def unfinished(self) -> int:
        """Everything that is still to be done, dead letters that lack a message included."""
        left = self.events - self.final + self.unsplit + self.waiting + self.unsent
        return left + abs(self.dead - self.dead_letters)


def read(engine: Engine, redis: "Redis", entries: Sequence[Entry]) -> Facts:
    """Return all facts but the faults, as they are at one moment of the tables."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        counts = connection.execute(DELIVERIES).one()
        return Facts(
            entries=entries,
            deliveries=counts.deliveries,
            duplicates=counts.duplicates,
            events=[StoredEvent(*row) for row in connection.execute(EVENTS)],
            jobs=[StoredJob(*row) for row in connection.execute(JOBS)],
            replays=[StoredReplay(*row) for row in connection.execute(REPLAYS)],
            sends=[StoredSend(*row) for row in connection.execute(SENDS)],
            attempts=[StoredAttempt(*row) for row in connection.execute(ATTEMPTS)],
            effects=[StoredEffect(*row) for row in connection.execute(EFFECTS)],
            statuses={
                row.message_id: StoredStatus(row.furthest, frozenset(row.reached))
                for row in connection.execute(STATUSES)
            },
            queues=queues(redis),
        )


def progress(engine: Engine, redis: "Redis") -> PipelineProgress:
    """Count what is final and what waits; cheap enough for a few times a second."""
    waiting = queues(redis)
    dead_letters = waiting.pop(DEAD_LETTERS)
    with engine.connect() as connection:
        row = connection.execute(PROGRESS).one()
        unsplit = connection.execute(DELIVERIES).one().unsplit
    return PipelineProgress(
        row.events, row.final, row.dead, dead_letters, unsplit, sum(waiting.values()), row.unsent
    )


def queues(redis: "Redis") -> dict[str, int]:
    """Count what the journal and each queue hold, but ``maintenance``, since beat fills it all the time."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hlen(JOURNAL)
        for zset in ZSETS:
            pipe.zcard(zset)
        for queue in QUEUES:
            pipe.llen(queue)
        return dict(zip((JOURNAL, *ZSETS, *QUEUES), pipe.execute(), strict=True))


def worker_inside(engine: Engine, keys: Sequence[str]) -> str | None:
    """Return the name of a worker that has just begun to handle one of these events; None if none has."""
    with engine.connect() as connection:
        parameters = {"keys": list(keys), "just_begun": JUST_BEGUN_SECONDS}
        name: str | None = connection.execute(AT_WORK, parameters).scalar()
    return name


def now(engine: Engine) -> float:
    """Return the Unix time of Postgres's clock, by which all rows are dated."""
    with engine.connect() as connection:
        seconds: float = connection.execute(NOW).scalar_one()
    return seconds
