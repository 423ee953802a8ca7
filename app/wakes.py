"""Tell the workers that lanes have work. A wake is a hint: one too many or one lost does no harm."""

from collections.abc import Iterable

from redis import Redis

from app.envelope import advance_message
from app.redis_keys import WOKEN
from app.scripts import script
from config.celery import CONVERSATIONS

LANES_A_CALL = 500  # keeps a script short: Redis answers nobody else meanwhile


def wake(redis: "Redis", lanes: Iterable[int]) -> int:
    """Enqueue ``advance`` for each lane that has no wake in the queue yet; how many were enqueued."""
    waiting = sorted(set(lanes))
    enqueue = script(redis, "wake")
    enqueued = 0
    for start in range(0, len(waiting), LANES_A_CALL):
        arguments = [
            part for lane in waiting[start : start + LANES_A_CALL] for part in (lane, advance_message(lane))
        ]
        enqueued += enqueue(keys=[WOKEN, CONVERSATIONS], args=arguments)
    return enqueued


def woken(redis: "Redis", lane: int) -> None:
    """The lane's wake has been received: from here on a new one is enqueued again.

    To be called before the lane is read, so that an event that is stored after the reading wakes it again.
    """
    redis.zrem(WOKEN, lane)
