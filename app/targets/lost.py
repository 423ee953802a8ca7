"""What a dead forwarder had under way is posted again before its lease ends, under the same ids.

A forwarder beats as workers do, and whoever watches those misses it too. Its name may be its predecessor's, whose work
it releases when it starts. Cannot see: whether the target is still at what the dead one had posted.
"""

import os
import socket
from collections.abc import Collection

from redis import Redis
from sqlalchemy import Engine

from app.broker import wake_forwarders
from app.stores import BEATS, Prepared
from app.targets import sql
from config.logging import get_logger

PREFIX = "forwarder@"
MAX_PAUSE_SECONDS = 30.0

log = get_logger(__name__)


def name_of_process() -> str:
    """Return this forwarder's name: what it beats under, and what its attempts are stored with."""
    return f"{PREFIX}{socket.gethostname()}/{os.getpid()}"


def beat(redis: "Redis", forwarder: str) -> None:
    """Give a sign of life. RedisError while Redis is away."""
    redis.hincrby(BEATS, forwarder, 1)


def leave(redis: "Redis", forwarder: str) -> None:
    """End: nobody is to miss it."""
    redis.hdel(BEATS, forwarder)


def release(engine: Engine, redis: "Redis", forwarder: str, _processes: Collection[int] | None = None) -> int:
    """Let what a dead forwarder had under way be posted again; return how many jobs. Of other workers it had none.

    Their attempts are lost ones. A job that has lost its forwarder before waits a little, since it may be what ends
    them. One that lives after all finds that its answers come too late.
    """
    if not forwarder.startswith(PREFIX):
        return 0
    with engine.begin() as connection:
        released = len(Prepared(connection).rows(sql.LOST, forwarder, MAX_PAUSE_SECONDS))
    if released:
        log.warning("forwarder.released", forwarder=forwarder, jobs=released)
        wake_forwarders(redis)
    return released
