"""Drain the queue ``webhooks``: an ingest that is at work takes along what waits there.

A transaction and a task for each message would cost more than the events in it. Promises: nothing in the queue
but whole ``ingest`` messages is taken, the oldest first, and no more at a time than is good for a transaction. Relies
on the journal: what is taken is in no list of unacknowledged messages, so if its taker dies, only the journal's
sweep brings it back.
"""

import re
from collections.abc import Iterable, Sequence
from typing import cast
from uuid import UUID

from redis import Redis

from app.broker import arguments_of, ingest_message
from app.ingest.rows import Incoming
from app.stores import JOURNAL_REQUEUED, chunks, script
from config.celery import INGEST, WEBHOOKS
from config.logging import get_logger

BYTES = 256 * 1024  # of messages, about 200 bodies of one event; the last one may exceed it
MAX_REQUEUES = 20  # of a delivery that ended its ingest each time: then it is given up
MARK = f'"task": "{INGEST}"'  # in the headers, which hold no text of others; the bodies are Base64
HISTORY = re.compile(rb'"field"\s*:\s*"history"')
PUT_BACK_AT_ONCE = 5  # in a message: each may be large
UNDECODABLE = (ValueError, TypeError, LookupError, AttributeError)

log = get_logger(__name__)


def incoming(bodies: Iterable[tuple[str, bytes]]) -> list[Incoming]:
    """Return the arguments of the task ``ingest`` as deliveries."""
    return [Incoming(UUID(id_), body) for id_, body in bodies]


def drain(redis: "Redis") -> tuple[list[Incoming], int]:
    """Take deliveries out of the queue; return them and how many messages are left. Raises RedisError.

    A message that cannot be decoded goes back to where it was: Celery decides what becomes of it.
    """
    left, taken = cast(
        tuple[int, list[bytes]], script(redis, __package__, "drain")(keys=[WEBHOOKS], args=[MARK, BYTES])
    )
    deliveries = []
    for message in taken:
        try:
            deliveries += incoming(arguments_of(message)[0])
        except UNDECODABLE as error:
            log.warning("ingest.message_put_back", error=type(error).__name__)
            redis.rpush(WEBHOOKS, message)
    return dedupe(deliveries), left


def is_bulk(delivery: Incoming) -> bool:
    """Whether it is a part of an import of history, which others need not wait for."""
    return HISTORY.search(delivery.body) is not None


def put_back(redis: "Redis", deliveries: Sequence[Incoming]) -> None:
    """Enqueue deliveries again, behind all others. Raises RedisError; then the journal's sweep brings them back.

    They count as enqueued now, so that the sweep does not take them for lost.
    """
    for part in chunks(deliveries, PUT_BACK_AT_ONCE):
        seconds, microseconds = redis.time()
        now = seconds * 1000 + microseconds / 1000
        with redis.pipeline(transaction=True) as pipe:
            pipe.zadd(JOURNAL_REQUEUED, {str(each.id): now for each in part})
            pipe.lpush(WEBHOOKS, ingest_message([(str(each.id), each.body) for each in part]))
            pipe.execute()


def dedupe(*groups: Iterable[Incoming]) -> list[Incoming]:
    """Return the deliveries of all groups, each once: one that a sweep enqueued again may be in two of them."""
    return list({delivery.id: delivery for group in groups for delivery in group}.values())
