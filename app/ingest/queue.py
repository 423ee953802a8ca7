"""Drain the queue ``webhooks``: an ingest that is at work takes along what waits there.

A transaction and a task for each message would cost more than the events in it. Promises: nothing in the queue
but whole ``ingest`` messages is taken, the oldest first, and no more at a time than is good for a transaction. Relies
on the journal: what is taken is in no list of unacknowledged messages, so if its taker dies, only the journal's
sweep brings it back.
"""

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from redis import Redis

from app.broker import arguments_of
from app.ingest.rows import Incoming
from app.stores import script
from config.celery import INGEST, WEBHOOKS
from config.logging import get_logger

BYTES = 256 * 1024  # of messages, about 200 bodies of one event; the last one may exceed it
MAX_REQUEUES = 20  # of a delivery that ended its ingest each time: then it is given up
MARK = f'"task": "{INGEST}"'  # in the headers, which hold no text of others; the bodies are Base64
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


def dedupe(*groups: Iterable[Incoming]) -> list[Incoming]:
    """Return the deliveries of all groups, each once: one that a sweep enqueued again may be in two of them."""
    return list({delivery.id: delivery for group in groups for delivery in group}.values())
