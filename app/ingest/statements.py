"""The two INSERTs of ingest: events with their jobs, then the deliveries that they came with."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from app.ingest.rows import Incoming, NewEvent
from app.payload import ParsedBody
from app.stores import DeliveryState, Prepared, accepted_at, bytea, recordset

# The first of an event's jobs, and the outcome of one that has none, has the event's own number.
INSERT_EVENTS = """
PREPARE ingest_events (json) AS
WITH incoming AS MATERIALIZED (
  SELECT * FROM json_to_recordset($1) AS incoming (
    key text, delivery_id uuid, position int, lane bigint, occurred_at timestamptz, accepted_at timestamptz,
    kind text, type text, payload text, jobs json, outcome job_state, error text)
), stored AS (
  INSERT INTO events AS known (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload)
  SELECT key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload FROM incoming
  -- The same event may arrive twice and be ingested in the other order: its place is that of the first acceptance.
  ON CONFLICT (key) DO UPDATE SET
    delivery_id = excluded.delivery_id, position = excluded.position,
    occurred_at = excluded.occurred_at, accepted_at = excluded.accepted_at
    -- One that has begun moves too, or what stands behind it in the same body would overtake it. What is handled
    -- already stays where it is, so nothing is moved from behind it to before it: that would make it late.
    WHERE excluded.delivery_id < known.delivery_id
      AND EXISTS (
        SELECT FROM jobs j WHERE j.event_id = known.id AND j.replay_id IS NULL AND NOT EXISTS (
          SELECT FROM lanes l WHERE l.id = j.lane
          AND (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
              > (excluded.occurred_at, excluded.delivery_id, excluded.position)
          AND (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
              <= (j.occurred_at, j.delivery_id, j.position)))
  RETURNING id, key, delivery_id, position, occurred_at, accepted_at, xmax = 0 AS inserted
), added AS (
  INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler, quiet_at)
  SELECT CASE job.number WHEN 1 THEN s.id ELSE nextval('events_id_seq') END, s.id, job.lane, job.name,
         s.occurred_at, s.delivery_id, s.position, s.accepted_at, job.handler,
         clock_timestamp() + make_interval(secs => job.join_seconds)
  FROM stored s JOIN incoming i USING (key)
  CROSS JOIN LATERAL ROWS FROM (
    json_to_recordset(i.jobs) AS (lane bigint, name smallint, handler text, join_seconds float8)
  ) WITH ORDINALITY AS job (lane, name, handler, join_seconds, number)
  WHERE s.inserted
), ended AS (
  INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, state, error)
  SELECT s.id, s.id, i.lane, 1, clock_timestamp(), i.outcome, i.error
  FROM stored s JOIN incoming i USING (key)
  WHERE s.inserted AND i.outcome IS NOT NULL
), moved AS (
  UPDATE jobs j SET
    delivery_id = s.delivery_id, position = s.position, occurred_at = s.occurred_at, since = s.accepted_at
  FROM stored s
  WHERE NOT s.inserted AND j.event_id = s.id AND j.replay_id IS NULL AND NOT EXISTS (
    SELECT FROM lanes l WHERE l.id = j.lane
    AND (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
        > (s.occurred_at, s.delivery_id, s.position)
    AND (l.watermark_occurred_at, l.watermark_delivery_id, l.watermark_position)
        <= (j.occurred_at, j.delivery_id, j.position))
)
SELECT id, key, inserted FROM stored
"""

INSERT_DELIVERIES = """
PREPARE ingest_deliveries (json) AS
INSERT INTO deliveries AS known (id, accepted_at, door, state, body, error, ingested_at, events, duplicates,
                                 changed)
-- now(): the beginning of the transaction, so that no event is finished before its delivery was stored
SELECT id, accepted_at, door, state, body, error, now(), events, duplicates, changed
FROM json_to_recordset($1) AS incoming (
  id uuid, accepted_at timestamptz, door door, state delivery_state, body bytea, error text, events int,
  duplicates int, changed int)
ON CONFLICT (id) DO UPDATE SET
  state = excluded.state, body = excluded.body, error = excluded.error, ingested_at = excluded.ingested_at,
  events = known.events + excluded.events, duplicates = excluded.duplicates, changed = excluded.changed
  WHERE known.state <> 'split'
"""


def insert_events(connection: Connection, rows: Sequence[NewEvent], name_ids: Mapping[str, int]) -> None:
    """Insert them with their jobs, in one statement; those whose key was not known get their id.

    ``name_ids``: the number of each lane name.
    """
    if not rows:
        return
    values = [
        {
            "key": row.key,
            "delivery_id": row.delivery.id,
            "position": row.event.index,
            "lane": row.lane,
            "occurred_at": row.occurred_at,
            "accepted_at": row.accepted_at,
            "kind": row.event.kind,
            "type": row.event.type,
            "payload": row.event.payload,
            "jobs": [
                {
                    "lane": job.lane,
                    "name": name_ids[job.lane_name],
                    "handler": job.handler,
                    "join_seconds": job.join_seconds,
                }
                for job in row.jobs
            ],
            "outcome": row.outcome,
            "error": row.error,
        }
        for row in rows
    ]
    row_of = {row.key: row for row in rows}
    for id_, key, inserted in Prepared(connection).rows(INSERT_EVENTS, recordset(values)):
        if inserted:
            row_of[key].id = id_


def insert_deliveries(
    connection: Connection, parsed: Sequence[tuple[Incoming, ParsedBody]], rows: Sequence[NewEvent]
) -> None:
    accepted = Counter(row.delivery.id for row in rows if row.id is not None)
    duplicates = Counter(row.delivery.id for row in rows if row.id is None)
    changed = Counter(row.delivery.id for row in rows if row.changed)
    values = [
        {
            "id": delivery.id,
            "accepted_at": accepted_at(delivery.id),
            "door": delivery.stored_in,
            "state": _delivery_state(body),
            "body": bytea(delivery.body) if body.unreadable else None,
            "error": body.unreadable,
            "events": accepted[delivery.id],
            "duplicates": duplicates[delivery.id],
            "changed": changed[delivery.id],
        }
        for delivery, body in sorted(parsed, key=acceptance)
    ]
    Prepared(connection).rows(INSERT_DELIVERIES, recordset(values))


def acceptance(pair: tuple[Incoming, ParsedBody]) -> int:
    """Sort by acceptance; a number compares faster than the UUID."""
    return pair[0].id.int


def _delivery_state(body: ParsedBody) -> DeliveryState:
    return DeliveryState.UNREADABLE if body.unreadable else DeliveryState.SPLIT
