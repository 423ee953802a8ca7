"""Deletes what was finished long ago, with everything that hangs on it.

Promises: only events go of which every job is finished, never one with a job that is pending or dead,
and nothing whose repeat may still
arrive: the key of an event is what keeps a repeat from being a second event. Relies on Meta repeating a webhook for
7 days, and on an age that is counted from the oldest delivery that waits to be split, so that a repeat that was
accepted in time and ingested late is still known. It cannot see a body that could not be read: what another copy
of it brought may be gone when a person has it read again.

Conversations and their names stay: an event that is being stored has read which conversation it belongs to and
holds no lock on it, so nobody can tell that it will not be needed. They grow with people, not with events.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from sqlalchemy import Connection, Engine, TextClause, text

from app.payload import build_key, message_id_of
from app.stores import JOURNAL_INDEX
from app.watch import UNACKED
from config.logging import get_logger

AT_ONCE = 1000  # rows of a table in one transaction: a statement of others waits for less than 0.1 s
UNACKED_INDEX = f"{UNACKED}_index"  # kombu's zset: message that a worker has taken → since when, Unix seconds
REPEATED_DAYS = 8  # Meta repeats a webhook for 7 days
ERASED_KEYS_DAYS = 40  # and sends statuses of a message for 30
BEGINNING = datetime.min.replace(tzinfo=UTC)

log = get_logger(__name__)

CUTOFF = text("""
SELECT least(clock_timestamp(), to_timestamp(CAST(:waits_since AS float)),
             (SELECT accepted_at FROM deliveries WHERE state = 'stored' ORDER BY id LIMIT 1))
       - make_interval(days => :days)
""")

# By the index outcomes_finished. From ``after`` on: rows before it are deleted, but stay in the index until a vacuum
LOCK_OUTCOMES = text("""
WITH old AS (
  SELECT event_id, finished_at FROM outcomes
  WHERE state <> 'dead' AND finished_at >= :after AND finished_at < :before
  ORDER BY finished_at LIMIT :at_most FOR UPDATE SKIP LOCKED
)
SELECT count(*) AS outcomes, max(finished_at) AS last, coalesce(array_agg(DISTINCT event_id), '{}') AS events FROM old
""")
# In a statement of its own: it sees a replay that was committed while the first one waited. An event stays for as long
# as any of its jobs waits, is dead, or was finished later
DELETE_EVENTS = text("""
WITH old AS MATERIALIZED (
  SELECT found.id FROM unnest(CAST(:events AS bigint[])) AS found (id)
  WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.event_id = found.id)
    AND NOT EXISTS (SELECT FROM outcomes o
                    WHERE o.event_id = found.id AND (o.state = 'dead' OR o.finished_at >= :before))
    AND NOT EXISTS (SELECT FROM dialogs d WHERE d.asked_event_id = found.id AND d.due_at IS NOT NULL)
), gone AS (
  DELETE FROM events e USING old WHERE e.id = old.id RETURNING e.id, e.key, e.kind
), jobs_gone AS (
  DELETE FROM outcomes o USING old WHERE o.event_id = old.id
  RETURNING o.id, CASE WHEN o.begun_at IS NULL THEN 0 ELSE 1 END AS succeeded
), attempted AS (
  DELETE FROM past_attempts a USING jobs_gone WHERE a.job_id = jobs_gone.id RETURNING a.job_id
), joined AS (
  DELETE FROM joined_jobs j USING jobs_gone WHERE j.job_id = jobs_gone.id
), repeated AS (
  DELETE FROM changed_duplicates d USING gone WHERE d.event_id = gone.id
), decided AS (
  DELETE FROM dead_letter_actions a USING gone WHERE a.event_id = gone.id RETURNING a.event_id
)
SELECT count(*) AS events,
       (SELECT count(*) FROM attempted) + (SELECT coalesce(sum(succeeded), 0) FROM jobs_gone) AS attempts,
       (SELECT count(*) FROM decided) AS actions,
       coalesce(array_agg(key) FILTER (WHERE kind = 'status'), '{}') AS statuses
FROM gone
""")

# In the order in which ingest writes them: the two never wait for each other in a circle
LOCK_STATUSES = text("""
SELECT FROM message_statuses WHERE message_id = ANY(:ids) ORDER BY message_id, participant FOR UPDATE
""")
# A subquery of one row, here and below, is always a look into the index; a join might read the whole table
MARK_STATUSES = text("""
UPDATE message_statuses s SET purge_after = clock_timestamp() + make_interval(days => :days)
FROM unnest(CAST(:ids AS text[]), CAST(:keys AS text[])) AS m (id, key)
WHERE s.message_id = m.id
  AND (SELECT e.id FROM events e WHERE e.key >= m.key || ':' AND e.key < m.key || ';' LIMIT 1) IS NULL
""")
# Ingest takes the mark off again: then the row is passed over
DELETE_STATUSES = text("""
DELETE FROM message_statuses s USING (
  SELECT message_id, participant FROM message_statuses WHERE purge_after <= clock_timestamp()
  LIMIT :at_most FOR UPDATE SKIP LOCKED
) AS old
WHERE s.message_id = old.message_id AND s.participant = old.participant
""")
# What was sent, or needs no more sending; what a person has still to decide about stays
DELETE_SENDS = text("""
WITH old AS MATERIALIZED (
  SELECT id FROM sends WHERE finished_at < :before AND state IN ('accepted', 'dropped', 'cancelled')
  LIMIT :at_most FOR UPDATE SKIP LOCKED
), attempted AS (
  DELETE FROM send_attempts a USING old WHERE a.send_id = old.id
), decided AS (
  DELETE FROM send_actions a USING old WHERE a.send_id = old.id
)
DELETE FROM sends s USING old WHERE s.id = old.id
""")
# What a lane keeps, and expects; a timeout that is due later needs it
DELETE_DIALOGS = text("""
DELETE FROM dialogs d USING (
  SELECT lane FROM dialogs WHERE changed_at < :before AND due_at IS NULL LIMIT :at_most FOR UPDATE SKIP LOCKED
) AS old
WHERE d.lane = old.lane
""")
DELETE_ERASED_KEYS = text("""
DELETE FROM erased_keys WHERE erased_at < least(CAST(:before AS timestamptz), now() - make_interval(days => :days))
""")
DELETE_STATES = text("DELETE FROM subject_states WHERE accepted_at < :before")
# An event is finished after its delivery was stored: up to where the events are gone, and no further
DELETE_DELIVERIES = text("""
WITH old AS MATERIALIZED (
  SELECT d.id FROM deliveries d
  WHERE d.ingested_at >= :after AND d.ingested_at < :before AND d.state <> 'stored'
    AND (SELECT e.id FROM events e WHERE e.delivery_id = d.id LIMIT 1) IS NULL
  ORDER BY d.ingested_at LIMIT :at_most FOR UPDATE SKIP LOCKED
), gone AS (
  DELETE FROM deliveries d USING old WHERE d.id = old.id RETURNING d.ingested_at
)
SELECT count(*) AS deliveries, max(ingested_at) AS last FROM gone
""")

# The planner overestimates the search for deliveries: compiling it would take longer than running it
NO_JIT = text("SET LOCAL jit = off")

COUNT = text("""
SELECT count(DISTINCT event_id) FROM outcomes old
WHERE state <> 'dead' AND finished_at < :before
  AND NOT EXISTS (SELECT FROM jobs j WHERE j.event_id = old.event_id)
  AND NOT EXISTS (SELECT FROM outcomes o
                  WHERE o.event_id = old.event_id AND (o.state = 'dead' OR o.finished_at >= :before))
""")


@dataclass(frozen=True, slots=True)
class Purged:
    """How many rows were deleted; what several batches deleted adds up."""

    events: int = 0
    attempts: int = 0
    actions: int = 0  # of people, about dead letters
    statuses: int = 0
    deliveries: int = 0
    sends: int = 0
    dialogs: int = 0

    def __add__(self, other: "Purged") -> "Purged":
        names = [field.name for field in fields(self)]
        return Purged(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def rows(self) -> int:
        return sum(getattr(self, field.name) for field in fields(self))


def cutoff(engine: Engine, redis: "Redis", days: int) -> datetime:
    """What was finished before this moment may go.

    So many days before now, or before the oldest delivery that waits to be split was accepted, or before the oldest
    message that a worker holds was taken: what is ingested from now on was accepted no earlier than that, and is a
    repeat of nothing that was finished a week earlier still. Raises RedisError, OperationalError.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.zrange(JOURNAL_INDEX, 0, 0, withscores=True)
        pipe.zrange(UNACKED_INDEX, 0, 0, withscores=True)
        (redis_seconds, _), journal, unacked = pipe.execute()
    # Of three clocks the one that is furthest behind: one that is ahead deletes nothing too early
    waits = [float(redis_seconds), time.time()]
    waits += [score / 1000 for _, score in journal] + [score for _, score in unacked]
    with engine.connect() as connection:
        parameters = {"waits_since": min(waits), "days": days}
        moment: datetime = connection.execute(CUTOFF, parameters).scalar_one()
    return moment


def count(engine: Engine, before: datetime) -> int:
    """How many events may go."""
    with engine.connect() as connection:
        return int(connection.execute(COUNT, {"before": before}).scalar_one())


def purge(engine: Engine, before: datetime) -> Iterator[Purged]:
    """Delete the oldest first, batch by batch, for as long as the caller asks for more.

    1. one transaction: the events of up to AT_ONCE jobs, with their outcomes, attempts, people's actions, and the
       statuses of messages that have no other event left;
    2. another: deliveries that have no event left.

    Dying before a commit deletes nothing of that batch; dying between 1 and 2 leaves deliveries without events, which
    the next purge finds by their own age. Several may run at once: each passes over what another has in its hands.
    """
    yield from _in_batches(engine, DELETE_STATUSES, "statuses")
    with engine.begin() as connection:
        connection.execute(DELETE_STATES, {"before": before})
        connection.execute(DELETE_ERASED_KEYS, {"before": before, "days": ERASED_KEYS_DAYS})
    yield from _in_batches(engine, DELETE_SENDS, "sends", before=before)
    yield from _in_batches(engine, DELETE_DIALOGS, "dialogs", before=before)
    event = delivery = BEGINNING
    while True:
        with engine.begin() as connection:
            deleted, last = _delete_events(connection, event, before)
        event = last or before
        with engine.begin() as connection:
            connection.execute(NO_JIT)
            parameters = {"after": delivery, "before": event, "at_most": AT_ONCE}
            found = connection.execute(DELETE_DELIVERIES, parameters).one()
        delivery = found.last if found.deliveries == AT_ONCE else event
        yield deleted + Purged(deliveries=found.deliveries)
        if event == delivery == before:
            return


def sweep(engine: Engine, redis: "Redis", days: int, budget_seconds: float) -> Purged:
    """Purge for so long at most, and log how much."""
    stop_at = time.monotonic() + budget_seconds
    before = cutoff(engine, redis, days)
    purged = Purged()
    for deleted in purge(engine, before):
        purged += deleted
        if time.monotonic() >= stop_at:
            break
    if purged.rows:
        report(purged, before)
    return purged


def report(purged: Purged, before: datetime) -> None:
    """Log what was deleted."""
    counts = {field.name: getattr(purged, field.name) for field in fields(purged)}
    log.info("retention.purged", finished_before=before.isoformat(), **counts)


def _delete_events(connection: Connection, after: datetime, before: datetime) -> tuple[Purged, Any]:
    """Delete a batch with all that hangs on it; return when its last job was finished, None at the end."""
    parameters = {"after": after, "before": before, "at_most": AT_ONCE}
    old = connection.execute(LOCK_OUTCOMES, parameters).one()
    if not old.outcomes:
        return Purged(), None
    found = connection.execute(DELETE_EVENTS, {"events": old.events, "before": before}).one()
    _mark_statuses(connection, found.statuses)
    return Purged(found.events, found.attempts, found.actions), old.last if old.outcomes == AT_ONCE else None


def _mark_statuses(connection: Connection, keys: Sequence[str]) -> None:
    """Let the statuses of messages of which no event is left go, but only when Meta repeats none of them any more.

    A repeat of "delivered" would else begin the message anew, behind a "read" that nobody remembers. In two
    statements: the second sees what was committed while the first waited for a status that was just written.
    """
    ids = sorted({message_id_of(key) for key in keys})
    if not ids:
        return
    connection.execute(LOCK_STATUSES, {"ids": ids})
    prefixes = [build_key(("status", id_)) for id_ in ids]
    connection.execute(MARK_STATUSES, {"ids": ids, "keys": prefixes, "days": REPEATED_DAYS})


def _in_batches(engine: Engine, statement: TextClause, counted: str, **parameters: Any) -> Iterator[Purged]:
    """Run a statement that deletes AT_ONCE rows at most until it finds fewer."""
    while True:
        with engine.begin() as connection:
            deleted = connection.execute(statement, {"at_most": AT_ONCE, **parameters}).rowcount
        if deleted:
            yield Purged(**{counted: deleted})
        if deleted < AT_ONCE:
            return
