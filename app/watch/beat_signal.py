"""Beat's sign of life: a key in Redis that each task which beat publishes renews, and that expires without it.

A key that expires compares no clocks. Beat hangs, or is gone, when nothing is published any more.
"""

import contextlib
import time
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from app.stores import BEAT, lifetimes, web_redis
from app.watch import releases

RENEW_SECONDS = 2.0  # at most as often; beat publishes several tasks a second
EXPIRE_SECONDS = 15

_renewed = {"at": float("-inf")}  # by this process's monotonic clock


def renew(**_: Any) -> None:
    """Renew the key; for Celery's signal ``after_task_publish``. Without Redis the next task renews it."""
    now = time.monotonic()
    if now - _renewed["at"] < RENEW_SECONDS:
        return
    with contextlib.suppress(RedisError):
        web_redis().set(BEAT, 1, ex=EXPIRE_SECONDS)
        releases.say(web_redis(), "beat")
        _renewed["at"] = now


def is_alive(redis: "Redis") -> bool:
    """Whether beat has published lately. RedisError without Redis."""
    return lifetimes.exist(redis, [BEAT], EXPIRE_SECONDS) == [True]
