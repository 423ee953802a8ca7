"""Keep raised alerts in Redis while Postgres cannot; a mark expires unless somebody still sees its condition."""

from redis import Redis

from app.stores import ALERT_PREFIX, lifetimes
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
    marked = lifetimes.exist(redis, [ALERT_PREFIX + name for name in AlertName], MARK_SECONDS)
    return frozenset(name.value for name, is_raised in zip(AlertName, marked, strict=True) if is_raised)
