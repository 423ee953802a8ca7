"""Bring Redis in line with a decision that is committed."""

from collections.abc import Sequence

from redis import Redis
from redis.exceptions import RedisError

from app.broker import wake
from app.dead_letters import queue
from config.logging import get_logger

log = get_logger(__name__)


def sync_redis(redis: "Redis", job_ids: Sequence[int], lanes: set[int]) -> None:
    """Remove the messages of these jobs and wake the lanes; while Redis is away, sweeps do it later."""
    try:
        wake(redis, lanes)
        queue.remove(redis, job_ids)
    except RedisError as error:
        log.warning("dead_letters.queue_not_reached", error=str(error))
