"""What sweeps noted of deliveries that the journal has no more.

A sweep may enqueue a delivery in the moment in which its first message is ingested. If the second message is lost,
nobody else comes across what the sweep noted.
"""

from redis import Redis

from app.stores import JOURNAL, JOURNAL_REQUEUED, JOURNAL_REQUEUES, chunks

KEYS_A_CALL = 1000


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
