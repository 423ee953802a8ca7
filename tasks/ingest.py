"""The task on the queue ``webhooks``."""

import random
import time

from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError

from app.connections import engine, redis
from app.handlers.registry import registry
from app.ingest import Incoming, ingest
from app.waiting import incoming, merged, take
from config.celery import INGEST
from config.logging import get_logger
from tasks import app

LONGEST_WAIT_SECONDS = 2.0
PATIENCE_SECONDS = 45  # below the task's time limit; after it the journal's sweep brings the deliveries back

log = get_logger(__name__)


@app.task(name=INGEST)
def ingest_deliveries(bodies: list[tuple[str, bytes]]) -> None:
    """Store a group of accepted bodies; while Postgres is away, wait for it: there is nothing else to do.

    1. take more deliveries out of the queue, where many wait;
    2. store them all, and take them out of the journal;
    3. Celery acknowledges the message that the task came with.

    Dying before the end of 2 leaves the task's own bodies in its message, which is given out again, and those taken
    in 1 in the journal alone: the journal's sweep enqueues them again. Dying between 2 and 3 has the message
    given out again; ingesting its bodies again changes nothing.
    """
    deliveries = merged(incoming(bodies), _more())
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    wait = 0.05
    while True:
        try:
            ingest(engine(), redis(), registry, deliveries)
        except (OperationalError, InterfaceError) as error:
            if time.monotonic() + wait > give_up_at:
                log.error("ingest.gave_up", deliveries=len(deliveries), error=type(error).__name__)
                return
            log.warning("ingest.waits_for_postgres", deliveries=len(deliveries), error=type(error).__name__)
        except RedisError as error:
            # It is in the tables; the journal's sweep will find the deliveries known, and wake their lanes.
            log.warning("ingest.redis_not_reached", deliveries=len(deliveries), error=type(error).__name__)
            return
        else:
            return
        time.sleep(random.uniform(wait / 2, wait))
        wait = min(wait * 2, LONGEST_WAIT_SECONDS)


def _more() -> list[Incoming]:
    try:
        return take(redis())
    except RedisError as error:
        log.warning("ingest.queue_not_reached", error=type(error).__name__)
        return []
