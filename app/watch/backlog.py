"""The backlog: what was accepted and is not final yet, how old it is, and who works on it.

Cheap whatever the tables hold: each query reads only what is unfinished, and stops at COUNT_LIMIT rows, so that a
huge backlog is reported as "at least".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from redis import Redis
from sqlalchemy import Connection, Engine, text

from app.stores import JOURNAL, JOURNAL_INDEX, QUARANTINE, QUARANTINE_COUNTS
from app.watch import alert_marks, outbox_backlog, target_health, targets_backlog
from app.watch.heartbeats import ALIVE_SECONDS, alive
from app.watch.outbox_backlog import OutboxBacklog
from app.watch.target_health import TargetHealth
from app.watch.targets_backlog import TargetsBacklog
from config.celery import CONVERSATIONS, OUTBOX, QUEUES, TARGETS, WEBHOOKS

COUNT_LIMIT = 1_000_000
STATEMENT_TIMEOUT_MS = 5_000
UNHANDLED_SECONDS = 3600.0
SAMPLES_KEPT_DAYS = 8  # the widest chart shows 7
LAG_SECONDS = 2  # a sample counts what happened up to so long before it
MAX_SAMPLE_SECONDS = 600  # after a longer pause between samples the counts begin anew
# kombu keeps the messages of each priority but the first in a list of its own, and what runs in `unacked`
PRIORITY_SUFFIXES = ("", "\x06\x163", "\x06\x166", "\x06\x169")
UNACKED = "unacked"


@dataclass(frozen=True, slots=True)
class PostgresBacklog:
    """What Postgres knows; ages in seconds, None where there is nothing."""

    deliveries: int = 0  # in the fallback store, not split yet
    deliveries_oldest_seconds: float | None = None
    pending: int = 0  # jobs
    pending_oldest_seconds: float | None = None  # since acceptance, or since a person's retry
    dead_letters: int = 0
    held_lanes: int = 0  # whose first job waits for its next attempt
    paused_lanes: int = 0  # by a person
    paused: int = 0  # of the jobs: those in paused lanes
    size_before: int | None = None  # of the whole backlog, a window ago; None without a sample
    unhandled: int = 0  # messages of the last UNHANDLED_SECONDS that no handler took
    stale: int = 0  # jobs of the last hour that were older than their handlers allow
    outbox: OutboxBacklog = field(default_factory=OutboxBacklog)
    targets: TargetsBacklog = field(default_factory=TargetsBacklog)
    raised: frozenset[str] = frozenset()  # names of alerts


@dataclass(frozen=True, slots=True)
class RedisBacklog:
    """What Redis knows."""

    journal: int = 0  # deliveries not in Postgres yet
    journal_oldest_seconds: float | None = None
    queues: Mapping[str, int] = field(default_factory=dict)  # messages by queue
    unacked: int = 0  # messages that a worker has taken
    workers: Mapping[str, frozenset[str]] = field(default_factory=dict)  # alive, with their queues
    quarantined: int = 0  # messages that could not be run, and that nobody has dropped
    quarantined_ever: Mapping[str, int] = field(default_factory=dict)  # by the queue that they were in
    raised: frozenset[str] = frozenset()  # names of alerts that are raised while Postgres is away
    targets: Mapping[str, TargetHealth] = field(default_factory=dict)  # by name, as forwarders see them


@dataclass(frozen=True, slots=True)
class Backlog:
    """Both together. Deliveries that are not split count as one each: nobody knows their events yet."""

    stored: PostgresBacklog
    transport: RedisBacklog

    @property
    def size(self) -> int:
        return self.transport.journal + self.stored.deliveries + self.stored.pending

    @property
    def growth(self) -> int | None:
        """More than a window ago; None while that is not known."""
        return None if self.stored.size_before is None else self.size - self.stored.size_before

    @property
    def oldest_seconds(self) -> float:
        """Age of the oldest that is unfinished; 0 when nothing is."""
        ages = (
            self.transport.journal_oldest_seconds,
            self.stored.deliveries_oldest_seconds,
            self.stored.pending_oldest_seconds,
        )
        return max((age for age in ages if age is not None), default=0.0)

    @property
    def raised(self) -> frozenset[str]:
        """Names of the alerts that are raised."""
        return self.stored.raised | self.transport.raised

    @property
    def dead_letters(self) -> int:
        return self.stored.dead_letters

    @property
    def workers(self) -> int:
        """Alive, and consuming lanes."""
        return consumers(self.transport, CONVERSATIONS)

    @property
    def ingests(self) -> int:
        """Alive, and consuming deliveries."""
        return consumers(self.transport, WEBHOOKS)

    @property
    def senders(self) -> int:
        """Alive, and consuming the outbox."""
        return consumers(self.transport, OUTBOX)

    @property
    def forwarders(self) -> int:
        """Alive, and posting to targets."""
        return consumers(self.transport, TARGETS)


def consumers(transport: RedisBacklog, queue: str) -> int:
    """How many workers alive consume a queue."""
    return sum(queue in queues for queues in transport.workers.values())


# Only what is unfinished is read: the jobs, and the partial indexes deliveries_stored and outcomes_dead. The age of a
# job that a person retried counts from there, or from when its turn was set for: its acceptance may be days ago. What
# waits in a paused lane, or for a paused target, waits for a person who knows, and makes nothing look stuck.
MEASURE = text("""
WITH paused AS (SELECT lane FROM paused_lanes)
SELECT
  (SELECT count(*) FROM (SELECT FROM deliveries WHERE state = 'stored' LIMIT :limit) AS counted)
    AS deliveries,
  (SELECT extract(epoch FROM clock_timestamp() - accepted_at) FROM deliveries
   WHERE state = 'stored' ORDER BY id LIMIT 1) AS deliveries_oldest_seconds,
  counted.pending, extract(epoch FROM clock_timestamp() - counted.since) AS pending_oldest_seconds,
  (SELECT count(*) FROM (SELECT FROM outcomes WHERE state = 'dead' LIMIT :limit) AS counted) AS dead_letters,
  (SELECT count(DISTINCT lane) FROM (
     SELECT lane FROM jobs WHERE due_at IS NOT NULL AND holds AND error IS NOT NULL LIMIT :limit
   ) AS counted) AS held_lanes,
  (SELECT count(*) FROM paused) AS paused_lanes,
  (SELECT count(*) FROM jobs JOIN paused USING (lane)) AS paused,
  (SELECT size FROM backlog_samples WHERE at >= clock_timestamp() - make_interval(secs => :window_seconds)
   ORDER BY at LIMIT 1) AS size_before,
  (SELECT coalesce(sum(unhandled), 0)::bigint FROM backlog_samples
   WHERE at > clock_timestamp() - make_interval(secs => :unhandled_seconds)) AS unhandled,
  (SELECT count(*) FROM outcomes
   WHERE state = 'stale' AND finished_at > clock_timestamp() - make_interval(secs => :unhandled_seconds)) AS stale,
  ARRAY(SELECT name FROM alerts WHERE raised) AS raised
FROM (
  SELECT count(*) AS pending,
         min(since) FILTER (WHERE lane NOT IN (SELECT lane FROM paused)
                            AND handler NOT IN (SELECT 'target:' || name FROM paused_targets)) AS since
  FROM (SELECT lane, since, handler FROM jobs LIMIT :limit) AS jobs
) AS counted
""")

# Deaths in (since, until]: of those that are dead still, and of those that a person has decided about since. Each
# decision was about one death, whose time is that of the last failed attempt before it
DIED = """
  (SELECT count(*) FROM outcomes WHERE state = 'dead' AND finished_at > since AND finished_at <= until)
  + (SELECT count(*)
     FROM dead_letter_actions d CROSS JOIN LATERAL (
       SELECT max(a.finished_at) AS died_at FROM past_attempts a
       WHERE a.job_id = d.job_id AND a.error IS NOT NULL AND a.finished_at <= d.at
     ) AS death
     WHERE d.action IN ('retry', 'discard') AND d.at > since AND died_at > since AND died_at <= until)
"""

# What happened is counted up to LAG_SECONDS ago: a commit may come a moment after its row's time
SAMPLE = text(f"""
WITH now AS (SELECT clock_timestamp() AS at), since AS (
  SELECT now.at - lag.by AS until,
    greatest(coalesce((SELECT max(at) FROM backlog_samples), now.at), now.at - make_interval(secs => :longest_seconds))
      - lag.by AS since
  FROM now, (SELECT make_interval(secs => :lag_seconds) AS by) AS lag
)
INSERT INTO backlog_samples (at, size, oldest_seconds, dead_letters, journal, second_door, pending, held_lanes, workers,
                             arrived, failed_attempts, died, done, unhandled)
SELECT now.at, :size, :oldest_seconds, :dead_letters, :journal, :second_door, :pending, :held_lanes, :workers,
  (SELECT coalesce(sum(events), 0) FROM deliveries WHERE ingested_at > since AND ingested_at <= until),
  (SELECT count(*) FROM past_attempts WHERE error IS NOT NULL AND finished_at > since AND finished_at <= until),
  {DIED},
  finished.done, finished.unhandled
FROM now, since CROSS JOIN LATERAL (
  SELECT count(*) AS done, count(*) FILTER (WHERE state = 'unhandled' AND
    (SELECT kind FROM events e WHERE e.id = event_id) = 'message') AS unhandled
  FROM outcomes WHERE state IN ('done', 'unhandled') AND finished_at > since AND finished_at <= until
) AS finished
ON CONFLICT (at) DO NOTHING
""")  # noqa: S608  (a constant)

DELETE_OLD_SAMPLES = text("DELETE FROM backlog_samples WHERE at < now() - make_interval(days => :days)")


def measure(engine: Engine, redis: "Redis", window_seconds: float) -> Backlog:
    """Both stores' numbers; growth is over ``window_seconds``. Raises what a store that is down raises."""
    return Backlog(stored(engine, window_seconds), transport(redis))


def stored(engine: Engine, window_seconds: float) -> PostgresBacklog:
    """Postgres's part. Raises SQLAlchemy's OperationalError."""
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"))
        parameters = {
            "limit": COUNT_LIMIT,
            "window_seconds": window_seconds,
            "unhandled_seconds": UNHANDLED_SECONDS,
        }
        row = connection.execute(MEASURE, parameters).one()
        outbox = outbox_backlog.measure(connection, COUNT_LIMIT)
        targets = targets_backlog.measure(connection, COUNT_LIMIT)
    return PostgresBacklog(
        deliveries=row.deliveries,
        deliveries_oldest_seconds=_age(row.deliveries_oldest_seconds),
        pending=row.pending,
        pending_oldest_seconds=_age(row.pending_oldest_seconds),
        dead_letters=row.dead_letters,
        held_lanes=row.held_lanes,
        paused_lanes=row.paused_lanes,
        paused=row.paused,
        size_before=row.size_before,
        unhandled=row.unhandled,
        stale=row.stale,
        outbox=outbox,
        targets=targets,
        raised=frozenset(row.raised),
    )


MAX_DIGITS = 19  # of a count; what has more nobody has counted


def transport(redis: "Redis") -> RedisBacklog:
    """Redis's part, in few round trips. Raises RedisError."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.hlen(JOURNAL)
        pipe.zrange(JOURNAL_INDEX, 0, 0, withscores=True)
        pipe.hlen(UNACKED)
        pipe.llen(QUARANTINE)
        pipe.hgetall(QUARANTINE_COUNTS)
        for queue in QUEUES:
            for suffix in PRIORITY_SUFFIXES:
                pipe.llen(queue + suffix)
        (seconds, microseconds), journal, oldest, unacked, quarantined, counts, *lengths = pipe.execute()
    now = seconds + microseconds / 1_000_000
    steps = len(PRIORITY_SUFFIXES)
    return RedisBacklog(
        journal=journal,
        journal_oldest_seconds=_age(now - oldest[0][1] / 1000) if oldest else None,
        queues={queue: sum(lengths[i * steps : (i + 1) * steps]) for i, queue in enumerate(QUEUES)},
        unacked=unacked,
        workers=alive(redis, ALIVE_SECONDS),
        quarantined=quarantined,
        quarantined_ever={
            queue.decode("utf-8", "replace"): int(count)
            for queue, count in sorted(counts.items())
            if count.isdigit() and len(count) < MAX_DIGITS
        },
        raised=alert_marks.raised(redis),
        targets=target_health.read(redis),
    )


def sample(connection: Connection, backlog: Backlog) -> None:
    """Record the size, for growth, and what happened since the sample before, for the charts.

    What is older than SAMPLES_KEPT_DAYS is deleted.
    """
    connection.execute(
        SAMPLE,
        {
            "size": backlog.size,
            "oldest_seconds": backlog.oldest_seconds,
            "dead_letters": backlog.dead_letters,
            "journal": backlog.transport.journal,
            "second_door": backlog.stored.deliveries,
            "pending": backlog.stored.pending,
            "held_lanes": backlog.stored.held_lanes,
            "workers": backlog.workers,
            "lag_seconds": LAG_SECONDS,
            "longest_seconds": MAX_SAMPLE_SECONDS,
        },
    )
    connection.execute(DELETE_OLD_SAMPLES, {"days": SAMPLES_KEPT_DAYS})


def _age(seconds: float | None) -> float | None:
    """Clocks of machines differ: what was accepted "later than now" is new."""
    return None if seconds is None else max(0.0, float(seconds))
