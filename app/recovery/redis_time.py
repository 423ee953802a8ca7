"""Redis's clock, by which wakes and acceptances are dated, and what was dated while it was ahead."""

from typing import Any

from redis import Redis

from app.stores import chunks

AHEAD_MS = 5_000  # web processes agree on Redis's time to within a round trip
KEYS_A_CALL = 500


def date_no_later_than(redis: "Redis", key: str, now: float) -> None:
    """Date members of a zset that lie in the future to now, so that each is lost a grace later at most.

    They were written before Redis's clock was set back, and would look new until it is there again. LT and XX: what
    was dated anew or deleted meanwhile stays so.
    """
    ahead: Any = redis.zrangebyscore(key, now + AHEAD_MS, "+inf")
    for chunk in chunks(ahead, KEYS_A_CALL):
        redis.zadd(key, dict.fromkeys(chunk, now), xx=True, lt=True)


def now_ms(redis: "Redis") -> float:
    """Redis's clock, Unix milliseconds: the one that wakes and acceptances are dated by."""
    seconds, microseconds = redis.time()
    return seconds * 1000 + microseconds / 1000
