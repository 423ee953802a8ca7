"""Deliveries → rows: what was accepted becomes events that wait for their turn.

Promises: after ``ingest`` returns, every item of every body is an event in Postgres, once, whatever it contained;
a body that cannot be read is a dead letter. Relies on the delivery still being in the journal (or behind the
second door) until the commit, so that dying anywhere before it costs time only.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from redis import Redis
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from app.broker import wake
from app.handlers import Registry
from app.ingest import conversations, statuses
from app.payload import ParsedBody, ParsedEvent, parse, unreadable_body
from app.stores import (
    JOURNAL,
    JOURNAL_INDEX,
    JOURNAL_REQUEUED,
    DeliveryState,
    Door,
    EventState,
    Prepared,
    accepted_at,
    bytea,
    recordset,
)
from app.watch import reporting
from config.logging import get_logger

REFUSALS = (DBAPIError, ValueError, OverflowError, OSError)
TOO_LARGE = "54"  # SQLSTATE class of what is beyond a limit of Postgres; psycopg2 calls it operational

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """An accepted body on its way into the tables."""

    id: UUID
    body: bytes
    door: Door = Door.JOURNAL


@dataclass(slots=True)
class Row:
    """An event about to be inserted."""

    event: ParsedEvent
    delivery: Incoming
    accepted_at: datetime
    handler: str | None
    error: str | None  # why the body could not be read: then the event is dead from the start
    lane: int = 0
    id: int | None = None  # once it is inserted; None: an event with its key was known

    @property
    def state(self) -> EventState:
        if self.error is not None:
            return EventState.DEAD
        return EventState.PENDING if self.handler else EventState.DONE

    @property
    def occurred_at(self) -> datetime:
        if self.event.occurred_at is None:
            return self.accepted_at
        return datetime.fromtimestamp(self.event.occurred_at, UTC)


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of some deliveries: every event of theirs, in the order of acceptance."""

    rows: list[Row]

    @property
    def lanes(self) -> set[int]:
        """Those that got an event to run."""
        return {row.lane for row in self.rows if row.id is not None and row.state is EventState.PENDING}


INSERT_EVENTS = """
PREPARE ingest_events (json) AS
INSERT INTO events AS known (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload,
                             state, handler, error, finished_at)
SELECT key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload,
       state, handler, error, CASE WHEN state <> 'pending' THEN clock_timestamp() END
FROM json_to_recordset($1) AS incoming (
  key text, delivery_id uuid, position int, lane bigint, occurred_at timestamptz, accepted_at timestamptz,
  kind text, type text, payload text, state event_state, handler text, error text)
-- The same event may arrive twice and be ingested in the other order: its place is that of the first acceptance.
ON CONFLICT (key) DO UPDATE SET
  delivery_id = excluded.delivery_id, position = excluded.position,
  occurred_at = excluded.occurred_at, accepted_at = excluded.accepted_at
  -- One that has begun moves too, or what stands behind it in the same body would overtake it. What is handled
  -- already stays where it is, so nothing is moved from behind it to before it: that would make it late.
  WHERE excluded.delivery_id < known.delivery_id AND known.state = 'pending'
    AND NOT EXISTS (SELECT FROM conversations c WHERE c.id = known.lane
                    AND (c.handled_occurred_at, c.handled_delivery_id, c.handled_position)
                        > (excluded.occurred_at, excluded.delivery_id, excluded.position)
                    AND (c.handled_occurred_at, c.handled_delivery_id, c.handled_position)
                        <= (known.occurred_at, known.delivery_id, known.position))
RETURNING id, key, xmax = 0 AS inserted
"""

INSERT_DELIVERIES = """
PREPARE ingest_deliveries (json) AS
INSERT INTO deliveries AS known (id, accepted_at, door, state, body, error, ingested_at, events, duplicates)
-- now(): the beginning of the transaction, so that no event is finished before its delivery was stored
SELECT id, accepted_at, door, state, body, error, now(), events, duplicates
FROM json_to_recordset($1) AS incoming (
  id uuid, accepted_at timestamptz, door door, state delivery_state, body bytea, error text, events int,
  duplicates int)
ON CONFLICT (id) DO UPDATE SET
  state = excluded.state, body = excluded.body, error = excluded.error, ingested_at = excluded.ingested_at,
  events = known.events + excluded.events, duplicates = excluded.duplicates
  WHERE known.state <> 'split'
"""


def ingest(engine: Engine, redis: "Redis", registry: Registry, deliveries: Sequence[Incoming]) -> Ingested:
    """Store the events of some deliveries and wake their lanes.

    1. split the bodies;
    2. one transaction: names, events, statuses, deliveries. A delivery that Postgres refuses on its own account
       is stored as unreadable, so that it takes no neighbour down;
    3. take the deliveries out of the journal, wake the lanes, and log what was decided.

    Dying before the commit of 2 leaves the journal as it was: the deliveries are ingested again. Dying between 2
    and 3 leaves deliveries in the journal that are known already (ingesting them again changes nothing) and lanes
    that no one woke (a sweep does). Raises OperationalError while Postgres is away.
    """
    parsed = [(delivery, parse(delivery.body)) for delivery in deliveries]
    try:
        with engine.begin() as connection:
            result = _store(connection, registry, parsed)
    except REFUSALS as error:
        if _is_away(error):
            raise  # or two transactions waited for each other: the whole group again
        result = _store_each(engine, registry, parsed, error)
    try:
        remove_from_journal(redis, deliveries)
        wake(redis, result.lanes)
    finally:
        for row in result.rows:
            _log_outcome(row)
    return result


def remove_from_journal(redis: "Redis", deliveries: Sequence[Incoming]) -> None:
    """Take deliveries that are in Postgres out of the journal."""
    ids = [str(delivery.id) for delivery in deliveries]
    with redis.pipeline(transaction=True) as pipe:
        pipe.hdel(JOURNAL, *ids)
        pipe.zrem(JOURNAL_INDEX, *ids)
        pipe.zrem(JOURNAL_REQUEUED, *ids)
        pipe.execute()


def _store_each(
    engine: Engine, registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]], error: Exception
) -> Ingested:
    """One by one, so that only the delivery that Postgres refuses becomes a dead letter."""
    log.warning("ingest.group_refused", deliveries=len(parsed), error=type(error).__name__)
    rows = []
    for delivery, body in parsed:
        try:
            with engine.begin() as connection:
                result = _store(connection, registry, [(delivery, body)])
        except REFUSALS as refused:
            if _is_away(refused):
                raise
            why = f"Postgres refused it: {type(refused).__name__}"
            with engine.begin() as connection:
                result = _store(connection, registry, [(delivery, unreadable_body(delivery.body, why))])
        rows += result.rows
    return Ingested(rows)


def _is_away(error: Exception) -> bool:
    """Whether Postgres cannot answer now; else it refuses what it was given."""
    if not isinstance(error, (OperationalError, InterfaceError)):
        return False
    return not str(getattr(error.orig, "pgcode", None)).startswith(TOO_LARGE)


def _store(
    connection: Connection, registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]]
) -> Ingested:
    """The transaction. Everything is written in the order of its key, so that two of them never deadlock."""
    rows = _rows(registry, parsed)
    first_of_key: dict[str, Row] = {}
    for row in rows:
        first_of_key.setdefault(row.event.key, row)
    incoming = [first_of_key[key] for key in sorted(first_of_key)]
    _find_lanes(connection, incoming)
    _insert_events(connection, incoming)
    statuses.move_forward(
        connection,
        ((row.event.status, row.accepted_at) for row in incoming if row.id is not None and row.event.status),
    )
    _insert_deliveries(connection, parsed, rows)
    return Ingested(rows)


def _rows(registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]]) -> list[Row]:
    """Every event of every body, by acceptance and place."""
    rows = []
    for delivery, body in sorted(parsed, key=_accepted):
        accepted = accepted_at(delivery.id)
        for event in body.events:
            handler = None if body.unreadable else registry.find(event.kind, event.type)
            rows.append(Row(event, delivery, accepted, handler.name if handler else None, body.unreadable))
    return rows


def _find_lanes(connection: Connection, rows: Sequence[Row]) -> None:
    lanes = conversations.resolve(connection, (row.event.aliases for row in rows if row.event.aliases))
    alone = [row for row in rows if not row.event.aliases]
    for row, lane in zip(alone, conversations.new_lanes(connection, len(alone)), strict=True):
        row.lane = lane
    for row in rows:
        if row.event.aliases:
            row.lane = lanes[row.event.aliases]


def _insert_events(connection: Connection, rows: Sequence[Row]) -> None:
    """Insert them, in one statement; those whose key was not known get their id."""
    if not rows:
        return
    values = [
        {
            "key": row.event.key,
            "delivery_id": row.delivery.id,
            "position": row.event.index,
            "lane": row.lane,
            "occurred_at": row.occurred_at,
            "accepted_at": row.accepted_at,
            "kind": row.event.kind,
            "type": row.event.type,
            "payload": row.event.payload,
            "state": row.state,
            "handler": row.handler,
            "error": row.error,
        }
        for row in rows
    ]
    row_of = {row.event.key: row for row in rows}
    for id_, key, inserted in Prepared(connection).rows(INSERT_EVENTS, recordset(values)):
        if inserted:
            row_of[key].id = id_


def _insert_deliveries(
    connection: Connection, parsed: Sequence[tuple[Incoming, ParsedBody]], rows: Sequence[Row]
) -> None:
    new = Counter(row.delivery.id for row in rows if row.id is not None)
    known = Counter(row.delivery.id for row in rows if row.id is None)
    values = [
        {
            "id": delivery.id,
            "accepted_at": accepted_at(delivery.id),
            "door": delivery.door,
            "state": _delivery_state(body),
            "body": bytea(delivery.body) if body.unreadable else None,
            "error": body.unreadable,
            "events": new[delivery.id],
            "duplicates": known[delivery.id],
        }
        for delivery, body in sorted(parsed, key=_accepted)
    ]
    Prepared(connection).rows(INSERT_DELIVERIES, recordset(values))


def _accepted(pair: tuple[Incoming, ParsedBody]) -> int:
    """The order of acceptance; a number compares faster than the UUID."""
    return pair[0].id.int


def _delivery_state(body: ParsedBody) -> DeliveryState:
    return DeliveryState.UNREADABLE if body.unreadable else DeliveryState.SPLIT


def _log_outcome(row: Row) -> None:
    fields = {
        "key": row.event.key,
        "delivery_id": str(row.delivery.id),
        "kind": row.event.kind,
        "type": row.event.type,
        "conversation": row.event.conversation,
    }
    if row.id is None:
        log.info("event.duplicate", **fields)
    elif row.state is EventState.DEAD:
        log.error("delivery.unreadable", event_id=row.id, error=row.error, **fields)
        reporting.unreadable_delivery(event_id=row.id)
    elif row.state is EventState.DONE:
        log.info("event.unhandled", event_id=row.id, **fields)
    else:
        log.info("event.accepted", event_id=row.id, handler=row.handler, **fields)
