"""What Redis has of a person: in the journal, in messages, in quarantine, in alerts."""

from collections.abc import Iterator
from typing import Any, cast

from redis import Redis

from app.erasure.traces import Traces
from app.stores import ALERT_PREFIX, JOURNAL, QUARANTINE
from app.watch import UNACKED
from config.celery import WEBHOOKS

PAGE = 500


def num_in_journal(redis: "Redis", traces: Traces) -> int:
    """Return how many deliveries that name the person are accepted and not split yet."""
    return sum(traces.are_in(_text(body)) for _, body in redis.hscan_iter(JOURNAL, count=PAGE))


def remove(redis: "Redis", traces: Traces) -> int:
    """Delete the messages and alerts that name the person; return how many.

    What a message was for is in the journal or in the tables, where a sweep finds it: nothing of others is lost.
    """
    removed = 0
    for name in (WEBHOOKS, QUARANTINE):
        for raw in cast(list[bytes], redis.lrange(name, 0, -1)):
            if traces.are_in(_text(raw)):
                removed += redis.lrem(name, 0, cast(str, raw))
    for tag, raw in list(redis.hscan_iter(UNACKED, count=PAGE)):
        if traces.are_in(_text(raw)):
            removed += redis.hdel(UNACKED, tag)
            redis.zrem(f"{UNACKED}_index", tag)
    for key in list(redis.scan_iter(match=f"{ALERT_PREFIX}*")):
        if traces.are_in(_text(redis.get(key) or b"")):
            removed += redis.delete(key)
    return removed


def find(redis: "Redis", traces: Traces) -> Iterator[str]:
    """Yield each key in Redis that names the person still, whatever it is."""
    for key in redis.scan_iter(match="*", count=PAGE):
        if traces.are_in(_text(key)) or any(traces.are_in(_text(value)) for value in _values(redis, key)):
            yield f"Redis key {_text(key)}"


def _values(redis: "Redis", key: bytes) -> Iterator[Any]:
    kind = cast(bytes, redis.type(key))
    if kind == b"string":
        yield redis.get(key)
    elif kind == b"list":
        yield from cast(list[bytes], redis.lrange(cast(str, key), 0, -1))
    elif kind == b"hash":
        for pair in redis.hscan_iter(cast(str, key), count=PAGE):
            yield from pair
    elif kind == b"set":
        yield from cast(set[bytes], redis.smembers(cast(str, key)))
    elif kind == b"zset":
        yield from cast(list[bytes], redis.zrange(cast(str, key), 0, -1))


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
