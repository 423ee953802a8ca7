"""Which release each process that is no Celery worker runs: one zset in Redis, for ``neverdrop doctor``.

A worker is asked by remote control (``tasks.about``). Web, forwarder and beat take no such messages, so each says every
few seconds what it is. Cannot see a process of a release that did not say it yet.
"""

import os
import socket
from typing import Any

from redis import Redis

from app.stores import RELEASES
from app.watch import reporting

ALIVE_SECONDS = 20.0  # four times the longest interval at which any of them says it


def say(redis: "Redis", kind: str) -> None:
    """Say that this process of a kind ("web") is alive, by Redis's clock. Raises RedisError."""
    seconds, _ = redis.time()
    with redis.pipeline(transaction=False) as pipe:
        pipe.zadd(RELEASES, {_member(kind): seconds})
        pipe.zremrangebyscore(RELEASES, "-inf", seconds - ALIVE_SECONDS)
        pipe.execute()


def leave(redis: "Redis", kind: str) -> None:
    """Say that this process ends. Raises RedisError."""
    redis.zrem(RELEASES, _member(kind))


def alive(redis: "Redis") -> dict[str, str]:
    """Return the release of each process that said it lately, by the process's name. Raises RedisError."""
    seconds, _ = redis.time()
    names: Any = redis.zrangebyscore(RELEASES, seconds - ALIVE_SECONDS, seconds + ALIVE_SECONDS)
    said = (name.decode().rpartition("|") for name in names)
    return {process: release for process, _, release in said}


def _member(kind: str) -> str:
    return f"{kind}@{socket.gethostname()}:{os.getpid()}|{reporting.release()}"
