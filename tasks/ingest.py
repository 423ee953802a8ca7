"""The task on the queue ``webhooks``."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from celery import Task
from redis.exceptions import RedisError

from app.handlers import registry
from app.ingest import MAX_REQUEUES, Incoming, dedupe, drain, give_up, incoming, ingest, is_bulk, put_back
from app.stores import JOURNAL_REQUEUES, STORE_ERRORS, Fault, engine, judge, redis
from config.celery import INGEST
from config.logging import get_logger
from tasks import app

MAX_WAIT_SECONDS = 2.0
PATIENCE_SECONDS = 45  # below the task's time limit; after it the journal's sweep brings the deliveries back
MAX_BULK = 200  # bodies of history that are laid aside at most
MORE_SECONDS = 0.5  # of storing what comes meanwhile: the sweeps share the pool
PAUSE_SECONDS = (
    0.03  # before the next transaction, where nothing waits: each costs as much as many events in it
)

log = get_logger(__name__)


@app.task(name=INGEST, bind=True)
def ingest_deliveries(self: "Task[Any, Any]", bodies: list[tuple[str, bytes]]) -> None:
    """Store a group of accepted bodies, and what comes while that is done.

    1. take what waits in the queue along, as much as is good for a transaction; lay bodies of history aside;
    2. store the others, or if there are none a body of history, and take them out of the journal;
    3. from 1 again, a moment later, until nothing has come or MORE_SECONDS are over: then what was laid aside goes
       behind all that waits;
    4. Celery acknowledges the message that the task came with.

    So nobody waits for more than one body of an import. Dying before the end of 2 leaves the task's own bodies in its
    message, which is given out again, and those taken in 1 in the journal alone: the journal's sweep enqueues them
    again. Dying between 2 and 4 has the message given out again; ingesting its bodies again changes nothing. What is
    given out again is stored alone.
    """
    if (self.request.delivery_info or {}).get("redelivered"):
        _ingest_again(incoming(bodies))
        return
    more_until = time.monotonic() + MORE_SECONDS
    waiting, left = _drain()
    deliveries, bulk = _apart(dedupe(incoming(bodies), waiting))
    while deliveries or bulk:
        group = deliveries or [bulk.pop(0)]
        if not _stored(group):
            return
        if time.monotonic() >= more_until:
            _put_back(bulk)
            return
        if not left and not bulk:
            time.sleep(PAUSE_SECONDS)
        deliveries, left = _drain() if len(bulk) < MAX_BULK else ([], 0)
        deliveries, more = _apart(deliveries)
        bulk += more


def _apart(deliveries: Sequence[Incoming]) -> tuple[list[Incoming], list[Incoming]]:
    """Return those that are stored together at once, and those of history, which are stored one by one after them."""
    both: tuple[list[Incoming], list[Incoming]] = ([], [])
    for delivery in deliveries:
        both[is_bulk(delivery)].append(delivery)
    return both


def _put_back(deliveries: Sequence[Incoming]) -> None:
    try:
        put_back(redis(), deliveries)
    except RedisError as error:  # they are in the journal
        log.warning("ingest.queue_not_reached", error=type(error).__name__)


def _ingest_again(deliveries: Sequence[Incoming]) -> None:
    """Store what may have ended the process that was at it before: each alone, and counted.

    One that was tried MAX_REQUEUES times is given up, as an unreadable dead letter.
    """
    for delivery in deliveries:
        try:
            tries = redis().hincrby(JOURNAL_REQUEUES, str(delivery.id), 1)
        except RedisError as error:
            log.warning("ingest.redis_not_reached", deliveries=1, error=type(error).__name__)
            tries = 0
        if not _stored([delivery], give_up if tries > MAX_REQUEUES else None):
            return  # a store is away; the journal's sweep brings the others back too


def _reset_requeues(deliveries: Sequence[Incoming]) -> None:
    """Let the deliveries be enqueued as often as it takes: Postgres kept them from being stored, not their content."""
    try:
        redis().hdel(JOURNAL_REQUEUES, *(str(delivery.id) for delivery in deliveries))
    except RedisError as error:
        log.warning("ingest.redis_not_reached", deliveries=len(deliveries), error=type(error).__name__)


def _stored(deliveries: Sequence[Incoming], store: Callable[..., object] | None = None) -> bool:
    """Store deliveries; return whether they are stored and out of the journal. While Postgres is away, wait for it."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    wait = 0.05
    while True:
        try:
            (store or ingest)(engine(), redis(), registry, deliveries)
        except RedisError as error:
            # It is in the tables; the journal's sweep will find the deliveries known, and wake their lanes.
            log.warning("ingest.redis_not_reached", deliveries=len(deliveries), error=type(error).__name__)
            return False
        except STORE_ERRORS as error:
            fault = judge(error)
            if fault is Fault.ITEM:
                raise  # that a delivery is unreadable could not be stored either
            fields = {"deliveries": len(deliveries), "fault": fault, "error": type(error).__name__}
            if time.monotonic() + wait > give_up_at:
                log.error("ingest.gave_up", **fields)
                _reset_requeues(deliveries)
                return False
            log.warning("ingest.waits_for_postgres", **fields)
        else:
            return True
        time.sleep(random.uniform(wait / 2, wait))
        wait = min(wait * 2, MAX_WAIT_SECONDS)


def _drain() -> tuple[list[Incoming], int]:
    try:
        return drain(redis())
    except RedisError as error:
        log.warning("ingest.queue_not_reached", error=type(error).__name__)
        return [], 0
