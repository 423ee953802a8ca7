"""Finds what was lost between the stores and enqueues it again.

Promises: whatever is in the journal, in the fallback store or pending in the tables is worked on again within
seconds, however it was lost. Relies on queues being first in, first out: what is older than the oldest message
that waits is not in the queue any more, so a mere backlog is never enqueued twice. It cannot see whether a
worker that took a message is slow or dead; running a message twice does no harm.

Each function first finds, then acts; every sweep may run several times at once.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, cast
from uuid import UUID

from redis import Redis
from sqlalchemy import Connection, Engine, text

from app.broker import arguments_of, ingest_message, wake
from app.ingest import MAX_REQUEUES, Incoming
from app.recovery.journal_marks import drop_marks_without_body, drop_what_is_no_delivery, requeue_counts
from app.recovery.lost_wakes import remove_lost_wakes, unclaimed
from app.recovery.redis_time import date_no_later_than, now_ms
from app.stores import (
    JOURNAL,
    JOURNAL_INDEX,
    JOURNAL_REQUEUED,
    JOURNAL_REQUEUES,
    MAX_ID,
    SWEPT_LANE,
    StoredIn,
    accepted_ms,
    chunks,
)
from config.celery import WEBHOOKS
from config.logging import get_logger

KEYS_A_CALL = 500
BODIES_A_MESSAGE = 50
BYTES_A_MESSAGE = 1_000_000
LANES_AT_ONCE = 5_000
URGENT_LOOKED_AT = (
    200  # messages at the front of the queue; behind more urgent ones no other lane is looked for
)
MANY_LOST = 0.1  # of the lanes that were looked at
STORED_AT_ONCE = 500
STORED_BYTES_AT_ONCE = 8_000_000

log = get_logger(__name__)

# Nobody is to work on a paused lane, so it is not woken either; resuming it does. Names of targets' lanes have numbers
# below zero: their jobs are a forwarder's, which looks for them itself.
DUE_LANES = text("""
SELECT lane FROM jobs WHERE due_at IS NOT NULL AND due_at <= clock_timestamp() AND lane_name_id > 0
  AND lane NOT IN (SELECT lane FROM paused_lanes)
UNION SELECT lane FROM jobs WHERE quiet_at IS NOT NULL AND quiet_at <= clock_timestamp() AND lane_name_id > 0
  AND lane NOT IN (SELECT lane FROM paused_lanes)
""")
# Those that have a time of their own are few, which the statistics of a quiet hour do not say
BY_INDEX = text("SET LOCAL enable_seqscan = off")

# One step in the index jobs_lane for each lane, however many jobs wait in it. A lane is ready when its first job may
# run at once: behind one that waits for its next attempt nobody is to look.
LANES_AFTER = text("""
WITH RECURSIVE waiting_lanes (lane) AS (
  (SELECT lane FROM jobs WHERE lane > :after ORDER BY lane LIMIT 1)
  UNION ALL
  SELECT (SELECT j.lane FROM jobs j WHERE j.lane > waiting_lanes.lane ORDER BY j.lane LIMIT 1)
  FROM waiting_lanes WHERE waiting_lanes.lane IS NOT NULL
), part AS MATERIALIZED (
  SELECT lane FROM waiting_lanes WHERE lane IS NOT NULL LIMIT :at_most
)
SELECT part.lane,
       coalesce(head.due_at IS NULL AND head.lane_name_id > 0 AND part.lane NOT IN (SELECT lane FROM paused_lanes)
                AND head.since NOT BETWEEN clock_timestamp() - make_interval(secs => :grace_seconds)
                AND clock_timestamp() + interval '5 s', false) AS ready
FROM part LEFT JOIN LATERAL (
  SELECT due_at, since, lane_name_id FROM jobs j
  WHERE j.lane = part.lane AND (j.holds OR j.due_at <= clock_timestamp())
  ORDER BY occurred_at, delivery_id, position, id LIMIT 1
) AS head ON true
ORDER BY part.lane
""")

# At least one delivery, and no more than so many bytes, since a body may have 3 MiB
STORED = text("""
SELECT id, body FROM (
  SELECT id, body, sum(octet_length(body)) OVER (ORDER BY id) - octet_length(body) AS before
  FROM (SELECT id, body FROM deliveries WHERE state = 'stored' ORDER BY id LIMIT :at_most) AS oldest
) AS summed
WHERE before < :bytes ORDER BY id
""")


def due_lanes(connection: Connection) -> list[int]:
    """Lanes with a job whose next attempt is due, or that has waited long enough for further messages."""
    connection.execute(BY_INDEX)
    return list(connection.execute(DUE_LANES).scalars())


def stored_deliveries(connection: Connection) -> list[Incoming]:
    """The oldest deliveries that wait in the fallback store, as many as fit into memory comfortably."""
    rows = connection.execute(STORED, {"at_most": STORED_AT_ONCE, "bytes": STORED_BYTES_AT_ONCE})
    return [Incoming(row.id, bytes(row.body), StoredIn.POSTGRES) for row in rows]


def sweep_lanes(engine: Engine, redis: "Redis", grace_seconds: float, lease_seconds: float) -> int:
    """Wake the lanes that have work, no wake in the queue and nobody at work; how many.

    Looks at LANES_AT_ONCE lanes, from where the sweep before ended, and on as long as many of them are found to be
    lost: a deep backlog need not be looked through every few seconds.
    """
    remove_lost_wakes(redis, grace_seconds)
    enqueued = 0
    for lanes in _lanes_in_turn(engine, redis, grace_seconds):
        ready = [lane for lane, is_ready in lanes if is_ready]
        lost = [
            lane for chunk in chunks(ready, KEYS_A_CALL) for lane in unclaimed(redis, chunk, lease_seconds)
        ]
        enqueued += wake(redis, lost)
        if len(lost) < len(lanes) * MANY_LOST:
            break
    if enqueued:
        log.info("lanes.woken_again", lanes=enqueued)
    return enqueued


def _lanes_in_turn(engine: Engine, redis: "Redis", grace_seconds: float) -> Iterator[list[tuple[int, bool]]]:
    """Lanes with jobs, and whether each is ready: in parts, each lane once, from where a sweep ended."""
    noted = cast(bytes, redis.get(SWEPT_LANE) or b"")
    began_after = after = int(noted) if noted.isdigit() and len(noted) < len(str(MAX_ID)) else 0
    wrapped = False
    while True:
        parameters = {"after": after, "at_most": LANES_AT_ONCE, "grace_seconds": grace_seconds}
        with engine.connect() as connection:
            rows = connection.execute(LANES_AFTER, parameters).all()
        if wrapped:
            rows = [row for row in rows if row.lane <= began_after]
        at_the_end = len(rows) < LANES_AT_ONCE
        after = 0 if at_the_end else rows[-1].lane
        redis.set(SWEPT_LANE, after)
        if rows:
            yield [(row.lane, row.ready) for row in rows]
        if at_the_end and (wrapped or began_after == 0):
            return
        wrapped = wrapped or at_the_end


def sweep_journal(redis: "Redis", grace_seconds: float) -> int:
    """Enqueue again the deliveries in the journal whose message is gone; how many.

    A delivery enqueued again counts as being as old as that, until it is ingested or lost once more. What is lost
    again gets a message of its own: one of its group may be what ends the process that ingests them. One that was
    enqueued MAX_REQUEUES times is left to ``exhausted_deliveries``.
    """
    now = now_ms(redis)
    drop_marks_without_body(redis)
    for key in (JOURNAL_INDEX, JOURNAL_REQUEUED):
        date_no_later_than(redis, key, now)
    exhausted = set(_exhausted_ids(redis))
    lost = [id_ for id_ in lost_deliveries(redis, now - grace_seconds * 1000) if id_ not in exhausted]
    again = _requeued(redis, lost)
    enqueued = 0
    for group in chain(
        _groups(redis, [id_ for id_ in lost if id_ not in again]),
        _groups(redis, [id_ for id_ in lost if id_ in again], 1),
    ):
        with redis.pipeline(transaction=True) as pipe:
            pipe.zadd(JOURNAL_REQUEUED, {id_: now for id_, _ in group})
            for id_, _ in group:
                pipe.hincrby(JOURNAL_REQUEUES, id_, 1)
            pipe.lpush(WEBHOOKS, ingest_message(group))
            pipe.execute()
        enqueued += len(group)
    if enqueued:
        log.info("deliveries.enqueued_again", deliveries=enqueued)
    return enqueued


def exhausted_deliveries(redis: "Redis", grace_seconds: float) -> list[Incoming]:
    """The deliveries whose message was lost again and again: each ends the process that ingests it.

    An ingest that could not reach Postgres resets their count. One that was enqueued within the grace may be at work.
    """
    before = now_ms(redis) - grace_seconds * 1000
    ids = [id_ for id_, since in _enqueued_ms(redis, _exhausted_ids(redis)).items() if since < before]
    bodies: Any = redis.hmget(JOURNAL, ids) if ids else []
    return [Incoming(UUID(id_), body) for id_, body in zip(ids, bodies, strict=True) if body is not None]


def _exhausted_ids(redis: "Redis") -> list[str]:
    return [id_ for id_, count in requeue_counts(redis).items() if count >= MAX_REQUEUES]


def lost_deliveries(redis: "Redis", before: float) -> list[str]:
    """Ids in the journal enqueued before ``before`` (Unix ms) and before the oldest message that still waits."""
    oldest = redis.lindex(WEBHOOKS, -1)
    if oldest is not None:
        waiting = [id_ for id_, _ in arguments_of(cast(bytes, oldest))[0]]
        since = _enqueued_ms(redis, waiting)  # one that was ingested already is as old as its acceptance
        before = min([before, *(since.get(id_, accepted_ms(id_)) for id_ in waiting)])
    found: Any = redis.zrangebyscore(JOURNAL_INDEX, "-inf", f"({before}")
    old = drop_what_is_no_delivery(redis, found)
    return [
        id_
        for chunk in chunks(old, KEYS_A_CALL)
        for id_, since in _enqueued_ms(redis, chunk).items()
        if since < before
    ]


def _enqueued_ms(redis: "Redis", ids: Sequence[str]) -> dict[str, float]:
    """Id → when it was last enqueued, Unix ms; without those that are not in the journal any more."""
    if not ids:
        return {}
    with redis.pipeline(transaction=False) as pipe:
        pipe.zmscore(JOURNAL_INDEX, ids)  # type: ignore[arg-type]
        pipe.zmscore(JOURNAL_REQUEUED, ids)  # type: ignore[arg-type]
        accepted, requeued = pipe.execute()
    return {
        id_: max(first, again or 0)
        for id_, first, again in zip(ids, accepted, requeued, strict=True)
        if first is not None
    }


def _requeued(redis: "Redis", ids: Sequence[str]) -> set[str]:
    """Those that a sweep has enqueued before."""
    found: set[str] = set()
    for chunk in chunks(ids, KEYS_A_CALL):
        times: Any = redis.zmscore(JOURNAL_REQUEUED, chunk)  # type: ignore[arg-type]
        found.update(id_ for id_, since in zip(chunk, times, strict=True) if since is not None)
    return found


def _groups(redis: "Redis", ids: Sequence[str], most: int | None = None) -> Iterator[list[tuple[str, bytes]]]:
    """The bodies of the ids, in groups that make one message each, of ``most`` bodies at most."""
    most = most or BODIES_A_MESSAGE
    group: list[tuple[str, bytes]] = []
    size = 0
    for chunk in chunks(ids, BODIES_A_MESSAGE):
        bodies: Any = redis.hmget(JOURNAL, chunk)
        for id_, body in zip(chunk, bodies, strict=True):
            if body is None:
                continue  # ingested meanwhile
            if group and (len(group) == most or size + len(body) > BYTES_A_MESSAGE):
                yield group
                group, size = [], 0
            group.append((id_, body))
            size += len(body)
    if group:
        yield group
