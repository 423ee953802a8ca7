"""Tell the workers that lanes have work. A wake is a hint: one too many or one lost does no harm."""

from collections.abc import Iterable, Sequence

from redis import Redis

from app.broker.envelope import advance_message, send_message
from app.stores import OUTBOX_WAKE, WAKES, script
from config.celery import CONVERSATIONS, OUTBOX

SHARE = 8  # take at most an eighth of the lanes that wait: the rest is for other workers
SENDERS_WAKE_MS = 2000  # that a wake for the senders is believed to wait in the queue
LANES_A_CALL = 500  # keeps a script short: Redis answers nobody else meanwhile


def wake(redis: "Redis", lanes: Iterable[int]) -> int:
    """Enqueue ``advance`` for each lane that has no wake in the queue yet; how many were enqueued."""
    waiting = sorted(set(lanes))
    enqueue = script(redis, __package__, "wake")
    enqueued = 0
    for start in range(0, len(waiting), LANES_A_CALL):
        arguments = [
            part for lane in waiting[start : start + LANES_A_CALL] for part in (lane, advance_message(lane))
        ]
        enqueued += enqueue(keys=[WAKES, CONVERSATIONS], args=arguments)
    return enqueued


def receive_wakes(redis: "Redis", received: Sequence[int], most: int = 1) -> list[int]:
    """Lanes whose wakes have been received, and others whose wakes wait in the queue, ``most`` in all.

    From here on a new wake of each is enqueued again: to be called before the lanes are read, so that an event that
    is stored after the reading wakes its lane again. The others are taken out of the queue without Celery, which
    does as much for a message as a quick handler takes; from a queue that is short none are taken, so that every
    worker gets some. What a worker has taken when it dies is woken by a sweep.
    """
    others = most - len(received)
    taken: list[bytes] = script(redis, __package__, "receive_wakes")(
        keys=[WAKES, CONVERSATIONS], args=[others, SHARE, *received]
    )
    return [*received, *map(int, taken)]


def wake_senders(redis: "Redis") -> None:
    """Enqueue ``send`` unless one waits in the queue already."""
    script(redis, __package__, "wake_senders")(
        keys=[OUTBOX_WAKE, OUTBOX], args=[send_message(), SENDERS_WAKE_MS]
    )


def receive_senders_wake(redis: "Redis") -> None:
    """Let the next wake for the senders be enqueued again: to be called before the outbox is read."""
    redis.delete(OUTBOX_WAKE)
