"""Reads what the checker is given: tables and queues, nothing that a user could not read."""

from collections.abc import Sequence

from redis import Redis
from sqlalchemy import Engine, text

from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, WAKES
from config.celery import CONVERSATIONS, DEAD_LETTERS, WEBHOOKS
from tests.chaos.facts import Attempt, Effect, Facts, StoredEvent
from tests.chaos.ledger import Entry

# A delivery's row is written once, so the commit of its writer tells from when on its events could be seen.
# Without track_commit_timestamp the time of the statement stands in for it.
EVENTS = text("""
SELECT e.id, e.key, e.lane, extract(epoch FROM e.occurred_at)::float AS occurred_at, e.delivery_id::text,
       e.position, e.state::text, e.late, e.attempts, e.error,
       extract(epoch FROM CASE WHEN current_setting('track_commit_timestamp') = 'on'
                          THEN pg_xact_commit_timestamp(d.xmin) ELSE d.ingested_at END)::float AS stored_at,
       extract(epoch FROM e.finished_at)::float AS finished_at
FROM events e JOIN deliveries d ON d.id = e.delivery_id
""")
ATTEMPTS = text("""
SELECT event_id, number, worker, extract(epoch FROM started_at)::float AS started_at,
       extract(epoch FROM finished_at)::float AS finished_at, error
FROM attempts
""")
EFFECTS = text("""
SELECT sequence, event_id, attempt, late, extract(epoch FROM started_at)::float AS started_at,
       extract(epoch FROM ended_at)::float AS ended_at
FROM chaos_effects
""")
STATUSES = text("SELECT message_id, status::text AS status FROM message_statuses")
UNFINISHED = text("""
SELECT (SELECT count(*) FROM events WHERE state = 'pending')
     + (SELECT count(*) FROM deliveries WHERE state = 'stored')
""")


def read(engine: Engine, redis: "Redis", entries: Sequence[Entry]) -> Facts:
    """Everything, at one moment of the tables."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        return Facts(
            entries=entries,
            events=[StoredEvent(*row) for row in connection.execute(EVENTS)],
            attempts=[Attempt(*row) for row in connection.execute(ATTEMPTS)],
            effects=[Effect(*row) for row in connection.execute(EFFECTS)],
            statuses={row.message_id: row.status for row in connection.execute(STATUSES)},
            queues=queues(redis),
        )


def queues(redis: "Redis") -> dict[str, int]:
    """How much the journal and each queue hold; ``maintenance`` is left out, since beat fills it all the time."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hlen(JOURNAL)
        for zset in (JOURNAL_INDEX, JOURNAL_REQUEUED, WAKES):
            pipe.zcard(zset)
        for queue in (WEBHOOKS, CONVERSATIONS, DEAD_LETTERS):
            pipe.llen(queue)
        names = (JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, WAKES, WEBHOOKS, CONVERSATIONS, DEAD_LETTERS)
        return dict(zip(names, pipe.execute(), strict=True))


def unfinished(engine: Engine, redis: "Redis") -> int:
    """Everything that is still to be done, dead letters that lack a message included."""
    waiting = queues(redis)
    with engine.connect() as connection:
        pending: int = connection.execute(UNFINISHED).scalar_one()
        dead: int = connection.execute(text("SELECT count(*) FROM events WHERE state = 'dead'")).scalar_one()
    queued = waiting.pop(DEAD_LETTERS)
    return pending + sum(waiting.values()) + abs(dead - queued)
