"""Tell the workers that lanes have work. A wake is a hint: one too many or one lost does no harm.

An urgent lane's wake goes before all others in the queue. One of a bulk lane, or of work that a person has run
again, goes to a list of its own, which workers look at when the queue is empty.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from redis import Redis

from app.broker.envelope import advance_message, send_message
from app.stores import (
    BULK_WAKES,
    OUTBOX_WAKE,
    TARGETS_WAKE,
    URGENT_WAKES,
    WAKES,
    Priority,
    priority_of,
    script,
)
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS, OUTBOX

SHARE = 8  # take at most an eighth of the lanes that wait: the rest is for other workers
BULK_AT_ONCE = 8  # lanes that wait for nothing else: what comes meanwhile waits for them
SENDERS_WAKE_MS = 2000  # that a wake for the senders is believed to wait in the queue
LANES_A_CALL = 500  # keeps a script short: Redis answers nobody else meanwhile
QUEUES = {  # where a wake is noted, where its message waits, and at which end
    Priority.URGENT: (URGENT_WAKES, CONVERSATIONS, "RPUSH"),
    Priority.NORMAL: (WAKES, CONVERSATIONS, "LPUSH"),
    Priority.BULK: (BULK_WAKES, BULK_CONVERSATIONS, "LPUSH"),
}


class WakeBatch(NamedTuple):
    """Lanes to be run."""

    lanes: list[int]
    bulk: bool = False  # only until something else waits


def wake(redis: "Redis", lanes: Iterable[int], *, bulk: bool = False) -> int:
    """Enqueue ``advance`` for each lane that has no wake in the queue yet; how many were enqueued.

    ``bulk``: those that are not urgent are run when nothing else waits.
    """
    waiting: dict[Priority, list[int]] = {}
    for lane in sorted(set(lanes)):
        priority = priority_of(lane)
        waiting.setdefault(Priority.BULK if bulk and priority is Priority.NORMAL else priority, []).append(
            lane
        )
    return sum(_enqueue(redis, priority, each) for priority, each in waiting.items())


def _enqueue(redis: "Redis", priority: Priority, lanes: Sequence[int]) -> int:
    noted, queue, push = QUEUES[priority]
    enqueue = script(redis, __package__, "wake")
    enqueued = 0
    for start in range(0, len(lanes), LANES_A_CALL):
        arguments = [
            part
            for lane in lanes[start : start + LANES_A_CALL]
            for part in (lane, advance_message(lane, bulk=priority is Priority.BULK))
        ]
        enqueued += enqueue(keys=[noted, queue], args=[push, *arguments])
    return enqueued


def receive_wakes(redis: "Redis", received: Sequence[int], most: int = 1) -> WakeBatch:
    """Lanes whose wakes have been received, and others whose wakes wait in the queue, ``most`` in all.

    From here on a new wake of each is enqueued again: to be called before the lanes are read, so that an event that
    is stored after the reading wakes its lane again. The others are taken out of the queue without Celery, which
    does as much for a message as a quick handler takes; from a queue that is short none are taken, so that every
    worker gets some. Bulk ones are taken only where nothing was received and nothing else waits. What a worker has
    taken when it dies is woken by a sweep.
    """
    others = most - len(received)
    keys = [WAKES, URGENT_WAKES, BULK_WAKES, CONVERSATIONS, BULK_CONVERSATIONS]
    bulk, *taken = script(redis, __package__, "receive_wakes")(
        keys=keys, args=[others, SHARE, BULK_AT_ONCE, *received]
    )
    return WakeBatch([*received, *map(int, taken)], bool(int(bulk)))


def wake_senders(redis: "Redis") -> None:
    """Enqueue ``send`` unless one waits in the queue already."""
    script(redis, __package__, "wake_senders")(
        keys=[OUTBOX_WAKE, OUTBOX], args=[send_message(), SENDERS_WAKE_MS]
    )


def receive_senders_wake(redis: "Redis") -> None:
    """Let the next wake for the senders be enqueued again: to be called before the outbox is read."""
    redis.delete(OUTBOX_WAKE)


def wake_forwarders(redis: "Redis") -> None:
    """Let a forwarder look for jobs at once; one that is busy looks anyway, so one wake that waits is enough."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.lpush(TARGETS_WAKE, 1)
        pipe.ltrim(TARGETS_WAKE, 0, 0)
        pipe.execute()


def receive_forwarders_wake(redis: "Redis", seconds: float) -> bool:
    """Wait so long for a wake of the forwarders; whether there was one."""
    return redis.brpop([TARGETS_WAKE], timeout=seconds) is not None
