"""Handlers that a worker was to run and did not know: of another release, or never loaded.

Their events stay as they are until a worker comes that knows the name. A sweep wakes their lanes every few seconds, so
that a name is met again and again while its events wait. Redis's clock dates them; what it loses is recorded again.
"""

from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from app.stores import UNKNOWN_HANDLERS, script
from config.logging import get_logger

MET_SECONDS = 60.0  # a name counts for as long after it was last met: several sweeps

log = get_logger(__name__)


def record(redis: "Redis", names: Iterable[str]) -> None:
    """Remember that events wait for these handlers; without Redis they are met again later."""
    unknown = sorted(set(names))
    log.warning("handlers.unknown", handlers=unknown)
    try:
        script(redis, __package__, "unknown_handlers")(
            keys=[UNKNOWN_HANDLERS], args=[int(MET_SECONDS * 1000), *unknown]
        )
    except RedisError as error:
        log.warning("handlers.unknown_not_recorded", error=type(error).__name__)


def names(redis: "Redis") -> list[str]:
    """Return the handlers that some worker was to run within MET_SECONDS and did not know. RedisError without Redis."""
    seconds, microseconds = redis.time()
    since_ms = (seconds - MET_SECONDS) * 1000 + microseconds // 1000
    # Not what is dated later: it was met before Redis's clock was set back, and is soon met again if it still waits
    until_ms = since_ms + 2 * MET_SECONDS * 1000
    met: Any = redis.zrangebyscore(UNKNOWN_HANDLERS, since_ms, until_ms)
    return sorted(name.decode() for name in met)
