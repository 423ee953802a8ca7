"""What the demo reads from the stores: how far it is, who is at work, and at the end every fact to be judged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from redis import Redis
from sqlalchemy import Connection, Engine, text

from app.dev.demo.effects import DemoBase
from app.dev.demo.facts import Effect, Facts, Kill, Run, Sent, Status, StoredEvent
from app.dev.simulator import PlannedEvent
from app.stores import JOURNAL
from config.celery import CONVERSATIONS, DEAD_LETTERS, WEBHOOKS

JUST_BEGUN_SECONDS = 1.0  # a slow handler that began within this will run for as long again

PROGRESS = text("""
SELECT count(*) AS events, count(*) FILTER (WHERE state <> 'pending') AS final,
       count(*) FILTER (WHERE state = 'dead') AS dead
FROM events
""")

AT_WORK = text("""
SELECT split_part(a.worker, '@', 1) FROM attempts a JOIN events e ON e.id = a.event_id
WHERE a.finished_at IS NULL AND e.state = 'pending' AND e.key = ANY(:keys)
  AND a.started_at > clock_timestamp() - make_interval(secs => :just_begun)
ORDER BY a.started_at DESC LIMIT 1
""")

DELIVERIES = text("SELECT count(*) AS deliveries, coalesce(sum(duplicates), 0) AS duplicates FROM deliveries")

EVENTS = text("""
SELECT e.id, e.key, e.lane, e.occurred_at, e.delivery_id, e.position, d.ingested_at AS stored_at,
       e.state::text, e.error
FROM events e JOIN deliveries d ON d.id = e.delivery_id
""")

ATTEMPTS = text("SELECT event_id, number, worker, started_at, finished_at, error FROM attempts")

EFFECTS = text("SELECT sequence, event_id, late, started_at, ended_at, status_seen FROM demo_effects")

STATUSES = text("""
SELECT message_id, status::text AS furthest,
       array_remove(ARRAY[CASE WHEN sent_at IS NOT NULL THEN 'sent' END,
                          CASE WHEN delivered_at IS NOT NULL THEN 'delivered' END,
                          CASE WHEN read_at IS NOT NULL THEN 'read' END], NULL) AS reached
FROM message_statuses
""")


@dataclass(frozen=True, slots=True)
class Advance:
    """How far the pipeline has come."""

    events: int
    final: int
    dead: int
    dead_letters: int  # messages in the queue of that name
    waiting: int  # deliveries and wakes that are under way


def make_table(engine: Engine) -> None:
    """The table that the demo's handler writes to."""
    DemoBase.metadata.create_all(engine)


def measure(engine: Engine, redis: "Redis") -> Advance:
    """Cheap enough to be asked a few times a second."""
    with engine.connect() as connection:
        row = connection.execute(PROGRESS).one()
    return Advance(row.events, row.final, row.dead, redis.llen(DEAD_LETTERS), sum(_waiting(redis).values()))


def worker_inside(engine: Engine, keys: Sequence[str]) -> str | None:
    """The name of a worker that has just begun to handle one of these events; None if none has."""
    with engine.connect() as connection:
        parameters = {"keys": list(keys), "just_begun": JUST_BEGUN_SECONDS}
        name: str | None = connection.execute(AT_WORK, parameters).scalar()
    return name


def now(engine: Engine) -> datetime:
    """Postgres's clock, by which all rows are dated."""
    with engine.connect() as connection:
        moment: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return moment


def read(
    engine: Engine, redis: "Redis", expected: Sequence[PlannedEvent], sent: Sent, kill: Kill | None
) -> Facts:
    """All facts, once nothing moves any more."""
    with engine.connect() as connection:
        counts = connection.execute(DELIVERIES).one()
        return Facts(
            expected=expected,
            sent=sent,
            deliveries=counts.deliveries,
            duplicates=int(counts.duplicates),
            events=[StoredEvent(**row) for row in connection.execute(EVENTS).mappings()],
            attempts=[Run(**row) for row in connection.execute(ATTEMPTS).mappings()],
            effects=[Effect(**row) for row in connection.execute(EFFECTS).mappings()],
            statuses=_statuses(connection),
            waiting=_waiting(redis),
            dead_letters=redis.llen(DEAD_LETTERS),
            kill=kill,
        )


def _statuses(connection: Connection) -> dict[str, Status]:
    rows = connection.execute(STATUSES)
    return {row.message_id: Status(row.furthest, frozenset(row.reached)) for row in rows}


def _waiting(redis: "Redis") -> dict[str, int]:
    return {
        "the journal": redis.hlen(JOURNAL),
        f"the queue {WEBHOOKS}": redis.llen(WEBHOOKS),
        f"the queue {CONVERSATIONS}": redis.llen(CONVERSATIONS),
    }
