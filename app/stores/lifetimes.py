"""Bound how long a key in Redis still lives.

Redis keeps the time at which a key expires by its own clock. When that is set back an hour, a key that was to live for
20 seconds lives for an hour longer, and with it what it says: that a worker is at work, that beat is alive.
"""

from collections.abc import Sequence

from redis import Redis


def exist(redis: "Redis", keys: Sequence[str], max_seconds: float) -> list[bool]:
    """Return whether each key exists; one that would live for longer gets ``max_seconds`` from now."""
    if not keys:
        return []
    with redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.pttl(key)
        left_ms: list[int] = pipe.execute()
        for key, left in zip(keys, left_ms, strict=True):
            if left > max_seconds * 1000:
                pipe.pexpire(key, int(max_seconds * 1000))
        pipe.execute()
    return [left != -2 for left in left_ms]  # -2: there is no such key
