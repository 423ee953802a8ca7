"""Which lanes have a wake in a queue, and which had one that was lost."""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from app.broker import arguments_of
from app.recovery.redis_time import date_no_later_than, now_ms
from app.stores import BULK_WAKES, URGENT_WAKES, WAKES, Priority, lane_claim, priority_of
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS

NO_KEY = -2  # PTTL's answer
URGENT_LOOKED_AT = (
    200  # messages at the front of the queue; behind more urgent ones no other lane is looked for
)


def remove_lost_wakes(redis: "Redis", grace_seconds: float) -> int:
    """Remove the wakes that are older than the oldest in their queue, and how many: their messages are gone."""
    now = now_ms(redis)
    for wakes in (WAKES, URGENT_WAKES, BULK_WAKES):
        date_no_later_than(redis, wakes, now)
    before = now - grace_seconds * 1000
    urgent, oldest = _front(redis)
    removed = 0
    if not urgent:  # they stand before all others: none waits
        removed += _remove_before(redis, URGENT_WAKES, before, None)
    if oldest is not None or not urgent:
        removed += _remove_before(redis, WAKES, before, oldest)
    bulk: Any = redis.lindex(BULK_CONVERSATIONS, -1)
    return removed + _remove_before(redis, BULK_WAKES, before, arguments_of(bulk)[0] if bulk else None)


def _front(redis: "Redis") -> tuple[bool, int | None]:
    """Return whether the next lane in the queue is urgent, and the first one that is not, if it stands near."""
    messages: Any = redis.lrange(CONVERSATIONS, -URGENT_LOOKED_AT, -1)
    urgent = False
    for message in reversed(messages):
        lane = int(arguments_of(message)[0])
        if priority_of(lane) is not Priority.URGENT:
            return urgent, lane
        urgent = True
    return urgent, None


def _remove_before(redis: "Redis", wakes: str, before: float, oldest: int | None) -> int:
    """Remove the wakes that are older than a time, and than that of the lane that has waited longest, if one waits."""
    if oldest is not None:
        waits_since = redis.zscore(wakes, oldest)
        before = min(before, waits_since if waits_since is not None else 0)
    return int(redis.zremrangebyscore(wakes, "-inf", f"({before}"))


def unclaimed(redis: "Redis", lanes: Sequence[int], lease_seconds: float) -> list[int]:
    """Return the lanes that have no wake and no claim, and let no claim outlast a lease.

    A longer one was taken before Redis's clock was set back.
    """
    lease_ms = int(lease_seconds * 1000)
    with redis.pipeline(transaction=False) as pipe:
        for wakes in (WAKES, URGENT_WAKES, BULK_WAKES):
            pipe.zmscore(wakes, lanes)  # type: ignore[arg-type]
        for lane in lanes:
            pipe.pttl(lane_claim(lane))
        normal, urgent, bulk, *left = pipe.execute()
    for lane, milliseconds in zip(lanes, left, strict=True):
        if milliseconds > lease_ms:
            redis.pexpire(lane_claim(lane), lease_ms)
    return [
        lane
        for lane, *waits, milliseconds in zip(lanes, normal, urgent, bulk, left, strict=True)
        if waits == [None, None, None] and milliseconds == NO_KEY
    ]
