"""What sweeps noted of deliveries that the journal has no more, and what is no delivery.

A sweep may enqueue a delivery in the moment in which its first message is ingested. If the second message is lost,
nobody else comes across what the sweep noted.
"""

import re
from collections.abc import Iterable
from typing import Any

from redis import Redis

from app.stores import JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, JOURNAL_REQUEUES, chunks
from config.logging import get_logger

KEYS_A_CALL = 1000
MAX_DIGITS = 10  # of a count
DELIVERY_ID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

log = get_logger(__name__)


def drop_what_is_no_delivery(redis: "Redis", ids: Iterable[bytes]) -> list[str]:
    """Return those that are ids of deliveries; drop what else somebody wrote among them, or it would end each sweep."""
    ids = list(ids)
    strange = [id_ for id_ in ids if not DELIVERY_ID.fullmatch(id_)]
    for part in chunks(strange, KEYS_A_CALL):
        for index in (JOURNAL_INDEX, JOURNAL_REQUEUED):
            redis.zrem(index, *part)
        for bodies in (JOURNAL, JOURNAL_REQUEUES):
            redis.hdel(bodies, *part)
    if strange:
        log.error("journal.no_delivery", dropped=len(strange))
    return [id_.decode() for id_ in ids if DELIVERY_ID.fullmatch(id_)]


def requeue_counts(redis: "Redis") -> dict[str, int]:
    """Return how often sweeps enqueued each delivery again; what is no count of a delivery is dropped."""
    counts: Any = redis.hgetall(JOURNAL_REQUEUES)
    strange = [id_ for id_, count in counts.items() if not (count.isdigit() and len(count) < MAX_DIGITS)]
    if strange:
        redis.hdel(JOURNAL_REQUEUES, *strange)
    known = drop_what_is_no_delivery(redis, counts.keys() - set(strange))
    return {id_: int(counts[id_.encode()]) for id_ in known}


def drop_marks_without_body(redis: "Redis") -> int:
    """Drop the marks of deliveries whose bodies are not in the journal; return how many."""
    noted = {*redis.zrange(JOURNAL_REQUEUED, 0, -1), *redis.hgetall(JOURNAL_REQUEUES)}
    dropped = 0
    for ids in chunks(sorted(noted), KEYS_A_CALL):
        bodies = redis.hmget(JOURNAL, ids)
        gone = [id_ for id_, body in zip(ids, bodies, strict=True) if body is None]
        if gone:
            redis.zrem(JOURNAL_REQUEUED, *gone)
            redis.hdel(JOURNAL_REQUEUES, *gone)
        dropped += len(gone)
    return dropped
