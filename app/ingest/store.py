"""Store accepted deliveries as events, whose jobs wait for their turn.

Promises: after ``ingest`` returns, every item of every body is an event in Postgres, once, whatever it contained;
a body that cannot be read is a dead letter. Relies on the delivery staying in the journal (or the fallback
store) until the commit, so that dying before it costs time only.
"""

from collections.abc import Sequence

from redis import Redis
from sqlalchemy import Connection, Engine

from app.broker import wake, wake_forwarders, wake_senders
from app.handlers import UNEXPECTED, Handler, Registry
from app.ingest import (
    changed_duplicates,
    conversations,
    earlier_keys,
    erased,
    lane_names,
    recurrences,
    statuses,
    subject_lanes,
)
from app.ingest.merge_plan import NameGroup
from app.ingest.outcome_log import log_outcome
from app.ingest.queue import MAX_REQUEUES
from app.ingest.rows import Incoming, Ingested, NewEvent, NewJob
from app.ingest.statements import acceptance, insert_deliveries, insert_events
from app.outbox import Settlement, of_status, settle
from app.payload import ParsedBody, ParsedEvent, parse, unreadable_body
from app.stores import (
    JOURNAL,
    JOURNAL_INDEX,
    JOURNAL_REQUEUED,
    JOURNAL_REQUEUES,
    REFUSALS,
    accepted_at,
    is_items_fault,
)
from config.logging import get_logger

GIVEN_UP = f"its ingest did not end, {MAX_REQUEUES} times"

log = get_logger(__name__)


def ingest(engine: Engine, redis: "Redis", registry: Registry, deliveries: Sequence[Incoming]) -> Ingested:
    """Store the events of some deliveries and wake their lanes.

    1. split the bodies;
    2. one transaction: names, events with their jobs, statuses,
    deliveries. A delivery that Postgres refuses on its own account
       is stored as unreadable, so that it takes no neighbour down;
    3. take the deliveries out of the journal, wake the lanes, and log what was decided.

    Dying before the commit of 2 leaves the journal as it was: the deliveries are ingested again. Dying between 2
    and 3 leaves deliveries in the journal that are known already (ingesting them again changes nothing) and lanes
    that no one woke (a sweep does). Raises a store's error where all of them
    are to be tried again.
    """
    parsed = [(delivery, parse(delivery.body)) for delivery in deliveries]
    try:
        with engine.begin() as connection:
            result = _store(connection, registry, parsed)
    except REFUSALS as error:
        if not is_items_fault(error):
            raise  # or two transactions waited for each other: the whole group again
        result = _store_each(engine, registry, parsed, error)
    _leave_journal(redis, deliveries, result)
    return result


def give_up(engine: Engine, redis: "Redis", registry: Registry, deliveries: Sequence[Incoming]) -> None:
    """Store deliveries that end whoever reads them: each becomes an unreadable dead letter with its body.

    Raises a store's error; then they stay in the journal.
    """
    parsed = [(delivery, unreadable_body(delivery.body, GIVEN_UP)) for delivery in deliveries]
    with engine.begin() as connection:
        result = _store(connection, registry, parsed)
    _leave_journal(redis, deliveries, result)


def _leave_journal(redis: "Redis", deliveries: Sequence[Incoming], result: Ingested) -> None:
    """Take the deliveries out of the journal, wake their lanes, and log what was decided."""
    try:
        remove_from_journal(redis, deliveries)
        wake(redis, result.lanes)
        if result.settled:
            wake_senders(redis)
        if result.has_forwards:
            wake_forwarders(redis)
    finally:
        for row in result.rows:
            log_outcome(row)


def remove_from_journal(redis: "Redis", deliveries: Sequence[Incoming]) -> None:
    """Take deliveries that are in Postgres out of the journal."""
    ids = [str(delivery.id) for delivery in deliveries]
    with redis.pipeline(transaction=True) as pipe:
        pipe.hdel(JOURNAL, *ids)
        pipe.zrem(JOURNAL_INDEX, *ids)
        pipe.zrem(JOURNAL_REQUEUED, *ids)
        pipe.hdel(JOURNAL_REQUEUES, *ids)
        pipe.execute()


def _store_each(
    engine: Engine, registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]], error: Exception
) -> Ingested:
    """Store them one by one, so that only the delivery that Postgres refuses becomes a dead letter."""
    log.warning("ingest.group_refused", deliveries=len(parsed), error=type(error).__name__)
    rows = []
    for delivery, body in parsed:
        try:
            with engine.begin() as connection:
                result = _store(connection, registry, [(delivery, body)])
        except REFUSALS as refused:
            if not is_items_fault(refused):
                raise
            reason = f"Postgres refused it: {type(refused).__name__}"
            with engine.begin() as connection:
                result = _store(connection, registry, [(delivery, unreadable_body(delivery.body, reason))])
        rows += result.rows
    return Ingested(rows)


def _store(
    connection: Connection, registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]]
) -> Ingested:
    """Write all rows of a transaction. All are written in the order of their keys, so that two never deadlock."""
    rows, erased_rows = erased.split(connection, _rows(registry, parsed))
    recurrences.find_keys(connection, rows)
    earlier_keys.find(connection, rows)
    first_of_key: dict[str, NewEvent] = {}
    for row in rows:
        first_of_key.setdefault(row.key, row)
    incoming = [first_of_key[key] for key in sorted(first_of_key)]
    links = [link for _, body in parsed for link in body.links]
    _find_lanes(connection, rows, erased.other_links(links, rows, erased_rows) if erased_rows else links)
    name_ids = lane_names.find_lanes(connection, incoming)
    insert_events(connection, incoming, name_ids)
    changed_duplicates.keep(connection, rows)
    statuses.move_forward(
        connection,
        ((row.event.status, row.accepted_at) for row in incoming if row.id is not None and row.event.status),
    )
    settled = settle(connection, filter(None, map(_settlement, incoming)))
    insert_deliveries(connection, erased.without_bodies(parsed, erased_rows), [*rows, *erased_rows])
    return Ingested([*rows, *erased_rows], settled > 0)


def _settlement(row: NewEvent) -> Settlement | None:
    """Return what a new status says about a message of the outbox."""
    update = row.event.status
    if row.id is None or update is None:
        return None
    return of_status(update.callback_data, update.message_id, update.status, update.error_code, update.error)


def _rows(registry: Registry, parsed: Sequence[tuple[Incoming, ParsedBody]]) -> list[NewEvent]:
    """Return every event of every body, by acceptance and position."""
    rows = []
    for delivery, body in sorted(parsed, key=acceptance):
        accepted = accepted_at(delivery.id)
        for event in body.events:
            jobs = [] if body.unreadable else _jobs(registry, event)
            rows.append(NewEvent(event, delivery, accepted, jobs, body.unreadable))
    return rows


def _jobs(registry: Registry, event: ParsedEvent) -> list[NewJob]:
    """Return what is to be done about an event: by each of its handlers, and by whoever may expect it."""
    origin = registry.origin_of(event.payload)
    jobs = [_new_job(handler, event) for handler in registry.find_all(event.kind, event.type, origin)]
    waiting = registry.lanes_that_may_expect(event.kind, event.type, origin)
    return jobs + [NewJob(UNEXPECTED, lane) for lane in waiting]


def _new_job(handler: Handler, event: ParsedEvent) -> NewJob:
    kind, type_ = event.kind, event.type
    return NewJob(
        handler.name,
        handler.lane_name_for(kind, type_),
        handler.priority_for(kind, type_),
        join_seconds=handler.join_seconds_for(kind, type_),
    )


def _find_lanes(connection: Connection, rows: Sequence[NewEvent], links: Sequence[tuple[str, ...]]) -> None:
    """Give each row its lane, and learn the names that the bodies tell beside their events."""
    named = [row for row in rows if row.event.aliases]
    groups = [NameGroup(row.event.aliases, row.event.change_notice) for row in named]
    lanes = conversations.resolve(connection, [*groups, *map(NameGroup, links)])
    for row, lane in zip(named, lanes, strict=False):  # what follows are the lanes of the links
        row.lane = lane
    subject_lanes.find_lanes(connection, rows)
    alone = [row for row in rows if not row.lane]
    for row, lane in zip(alone, conversations.new_lanes(connection, len(alone)), strict=True):
        row.lane = lane
