"""The first door: a body into the journal and its task into the queue, in one write to Redis.

What it relies on: with ``appendfsync always`` Redis answers EXEC after the write is on disk. What it cannot
see: a write that timed out may still have happened; the same ids in both stores do no harm.
"""

import threading
from collections.abc import Sequence

from app import delivery_id, envelope, redis_checks
from app.connections import web_redis
from app.redis_keys import JOURNAL, JOURNAL_INDEX
from config.celery import WEBHOOKS
from config.settings import settings

NS_PER_SECOND = 1_000_000_000
NS_PER_US = 1_000

_inspected = threading.Event()


def inspect() -> None:
    """Look once at how Redis keeps what it is given, and at its clock.

    UnsafeJournal where it must not be used (in production mode), RedisError where it does not answer.
    """
    redis_checks.inspect(web_redis(), production=settings().neverdrop_env == "production")
    asked = delivery_id.local_ns()
    _hear(web_redis().time(), asked)
    _inspected.set()


def write(deliveries: Sequence[tuple[str, bytes]]) -> None:
    """All of ``deliveries`` (id, body) on disk in the journal, and one task for them; else any RedisError."""
    if not _inspected.is_set():
        inspect()  # Redis was away when this process started
    with web_redis().pipeline(transaction=True) as pipe:
        pipe.hset(JOURNAL, mapping=dict(deliveries))
        pipe.zadd(JOURNAL_INDEX, {each: delivery_id.accepted_ms(each) for each, _ in deliveries})
        pipe.lpush(WEBHOOKS, envelope.ingest_message(deliveries))
        pipe.time()
        asked = delivery_id.local_ns()
        *_, time = pipe.execute()
    _hear(time, asked)


def answers() -> None:
    """RedisError when Redis does not answer."""
    web_redis().ping()


def _hear(time: tuple[int, int], asked_ns: int) -> None:
    seconds, microseconds = time
    redis_ns = seconds * NS_PER_SECOND + microseconds * NS_PER_US
    delivery_id.ids.hear(redis_ns, asked_ns, delivery_id.local_ns())
