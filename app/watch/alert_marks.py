"""Keep raised alerts in Redis while Postgres cannot; a mark expires unless somebody still sees its condition."""

from typing import Any

from redis import Redis

from app.stores import ALERT_PREFIX
from app.watch.conditions import AlertChange, AlertName

MARK_SECONDS = 30  # several looks of a timer


def mark(redis: "Redis", change: AlertChange) -> bool:
    """Mark an alert as raised; False: another process was first. RedisError without Redis."""
    key = ALERT_PREFIX + change.name
    if redis.set(key, change.text, ex=MARK_SECONDS, nx=True):
        return True
    redis.expire(key, MARK_SECONDS)
    return False


def unmark(redis: "Redis", name: AlertName) -> bool:
    """Remove an alert's mark; False: another process was first. RedisError without Redis."""
    return bool(redis.delete(ALERT_PREFIX + name))


def raised(redis: "Redis") -> frozenset[str]:
    """Return the names of the alerts with a mark. RedisError without Redis."""
    marks: Any = redis.mget([ALERT_PREFIX + name for name in AlertName])
    return frozenset(name.value for name, text in zip(AlertName, marks, strict=True) if text is not None)
