"""The task on the queue ``webhooks``."""

import random
import time
from uuid import UUID

from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError

from app.connections import engine, redis
from app.handlers.registry import registry
from app.ingest import Incoming, ingest
from config.celery import INGEST
from config.logging import get_logger
from tasks import app

LONGEST_WAIT_SECONDS = 2.0
PATIENCE_SECONDS = 45  # below the task's time limit; after it the journal's sweep brings the deliveries back

log = get_logger(__name__)


@app.task(name=INGEST)
def ingest_deliveries(bodies: list[tuple[str, bytes]]) -> None:
    """Store a group of accepted bodies; while Postgres is away, wait for it: there is nothing else to do."""
    deliveries = [Incoming(UUID(id_), body) for id_, body in bodies]
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
