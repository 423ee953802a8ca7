"""The task on the queue ``webhooks``."""

import random
import time
from collections.abc import Sequence

from redis.exceptions import RedisError

from app.handlers import registry
from app.ingest import Incoming, dedupe, drain, incoming, ingest
from app.stores import STORE_ERRORS, Fault, engine, judge, postgres_wait, redis
from config.celery import INGEST
from config.logging import get_logger
from config.settings import settings
from tasks import app

MAX_WAIT_SECONDS = 2.0
PATIENCE_SECONDS = 45  # below the task's time limit; after it the journal's sweep brings the deliveries back
MORE_SECONDS = 0.5  # of storing what comes meanwhile: the sweeps share the pool
PAUSE_SECONDS = (
    0.03  # before the next transaction, where nothing waits: each costs as much as many events in it
)

ANSWER_MARGIN_SECONDS = 5  # Postgres ends a statement itself; it is asked no longer than so much after that

log = get_logger(__name__)


@app.task(name=INGEST)
def ingest_deliveries(bodies: list[tuple[str, bytes]]) -> None:
    """Store a group of accepted bodies, and what comes while that is done.

    1. take what waits in the queue along, as much as is good for a transaction;
    2. store it all, and take it out of the journal;
    3. from 1 again, a moment later, until nothing has come or MORE_SECONDS are over;
    4. Celery acknowledges the message that the task came with.

    Dying before the end of 2 leaves the task's own bodies in its message, which is given out again, and those taken
    in 1 in the journal alone: the journal's sweep enqueues them again. Dying between 2 and 4 has the message
    given out again; ingesting its bodies again changes nothing.
    """
    more_until = time.monotonic() + MORE_SECONDS
    waiting, left = _drain()
    deliveries = dedupe(incoming(bodies), waiting)
    while deliveries and _stored(deliveries) and time.monotonic() < more_until:
        if not left:
            time.sleep(PAUSE_SECONDS)
        deliveries, left = _drain()


def _stored(deliveries: Sequence[Incoming]) -> bool:
    """Store deliveries; return whether they are stored and out of the journal. While Postgres is away, wait for it."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    wait = 0.05
    while True:
        try:
            with postgres_wait.each(settings().database_timeout_seconds + ANSWER_MARGIN_SECONDS):
                ingest(engine(), redis(), registry, deliveries)
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
