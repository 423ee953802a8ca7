"""The queue ``dead_letters``: one message for each dead job, for those who watch queues.

Nobody consumes it. The table is the truth (``outcomes.state = 'dead'``); ``reconcile`` makes the queue equal to it.
"""

import re
from collections import Counter
from collections.abc import Container, Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, WatchError
from sqlalchemy import Engine, text

from app.broker import retry_dead_letter_message
from app.stores import chunks
from config.celery import DEAD_LETTERS
from config.logging import get_logger

SETTLED_SECONDS = 5  # a younger death may still be on its way into the queue
MESSAGES_A_CALL = 1000
# LREM compares its message with each in the queue, and Redis answers nobody else meanwhile
MAX_COMPARISONS = 2_000_000
SHOWN_ID = re.compile(rb'"argsrepr": "\((\d{1,18}),\)"')
MAX_LENGTH_READ = 1000  # a longer queue is read only when its length is wrong

DEAD_COUNT = text("SELECT count(*) FROM outcomes WHERE state = 'dead'")
DEAD_IDS = text("""
SELECT id, finished_at < clock_timestamp() - make_interval(secs => :settled) AS settled
FROM outcomes WHERE state = 'dead'
""")

log = get_logger(__name__)


def enqueue_dead_letter(redis: "Redis", job_id: int) -> None:
    """Add the message of a new dead letter; while Redis is away, ``reconcile`` does it later."""
    try:
        redis.lpush(DEAD_LETTERS, retry_dead_letter_message(job_id))
    except RedisError as error:
        log.warning("dead_letters.queue_not_reached", job_id=job_id, error=str(error))


def remove(redis: "Redis", job_ids: Sequence[int]) -> None:
    """Remove the messages of these jobs, unless that takes Redis long: then ``reconcile`` does it.

    Raises RedisError.
    """
    if len(job_ids) * redis.llen(DEAD_LETTERS) <= MAX_COMPARISONS:
        _remove_copies(redis, {retry_dead_letter_message(id_): 0 for id_ in job_ids})


def reconcile(engine: Engine, redis: "Redis") -> tuple[int, int]:
    """Make the queue equal to the table; return how many messages were added and removed.

    1. read the queue, 2. read the table, 3. add and remove. In this order, since a job that dies between 1 and 2
    would else look like a message too many. One that died just now is left to ``enqueue_dead_letter``.
    """
    length = redis.llen(DEAD_LETTERS)
    with engine.connect() as connection:
        if length == connection.execute(DEAD_COUNT).scalar() and length > MAX_LENGTH_READ:
            return 0, 0
        queued, foreign = _read_queue(redis)
        settled: Any = connection.execute(DEAD_IDS, {"settled": SETTLED_SECONDS})
        expected: dict[int, bool] = dict(settled.all())
    missing = [id_ for id_, is_settled in expected.items() if is_settled and id_ not in queued]
    surplus = [id_ for id_ in queued if id_ not in expected]
    for ids in chunks(missing, MESSAGES_A_CALL):
        redis.lpush(DEAD_LETTERS, *map(retry_dead_letter_message, ids))
    if (len(surplus) + len(foreign)) * length > MAX_COMPARISONS:
        removed = _rebuild(redis, expected)
    else:
        doubles = {id_: count - 1 for id_, count in queued.items() if count > 1 and id_ in expected}
        copies = {
            retry_dead_letter_message(id_): n for id_, n in (dict.fromkeys(surplus, 0) | doubles).items()
        }
        removed = _remove_copies(redis, copies | dict.fromkeys(foreign, 0))
    if missing or removed:
        log.info("dead_letters.reconciled", added=len(missing), removed=removed)
    return len(missing), removed


def _read_queue(redis: "Redis") -> tuple["Counter[int]", set[bytes]]:
    """Return how often each event's message is in the queue, and the messages that are no event's.

    Part by part, from the end that nobody adds to: of 100,000 messages only the ids are in memory. What is taken out
    meanwhile shifts the rest; the next sweep makes up for that.
    """
    queued: Counter[int] = Counter()
    foreign: set[bytes] = set()
    last = -1
    while True:
        messages: Any = redis.lrange(DEAD_LETTERS, last - MESSAGES_A_CALL + 1, last)
        for message in messages:
            id_ = _event_of(message)
            if id_ is None:
                foreign.add(message)
            else:
                queued[id_] += 1
        if len(messages) < MESSAGES_A_CALL:
            return queued, foreign
        last -= MESSAGES_A_CALL


def _event_of(message: bytes) -> int | None:
    """Return the event whose dead letter a message stands for; None if it is not as we write it."""
    match = SHOWN_ID.search(message)
    id_ = int(match[1]) if match else None
    return id_ if id_ is not None and message == retry_dead_letter_message(id_) else None


def _rebuild(redis: "Redis", expected: Container[int]) -> int:
    """Write the queue anew, each expected message once; return how many messages were left out.

    If somebody changes the queue meanwhile nothing is written, and the next sweep tries again.
    """
    with redis.pipeline(transaction=True) as pipe:
        pipe.watch(DEAD_LETTERS)  # type: ignore[no-untyped-call]
        queued: Any = pipe.lrange(DEAD_LETTERS, 0, -1)
        kept = [message for message in dict.fromkeys(queued) if _event_of(message) in expected]
        pipe.multi()
        pipe.delete(DEAD_LETTERS)
        for start in range(0, len(kept), MESSAGES_A_CALL):
            pipe.rpush(DEAD_LETTERS, *kept[start : start + MESSAGES_A_CALL])
        try:
            pipe.execute()
        except WatchError:
            return 0
    return len(queued) - len(kept)


def _remove_copies(redis: "Redis", copies: dict[bytes, int]) -> int:
    """Remove so many copies of each message, 0 for all of them; return how many were removed."""
    if not copies:
        return 0
    with redis.pipeline(transaction=False) as pipe:
        for message, count in copies.items():
            pipe.lrem(DEAD_LETTERS, count, message)  # type: ignore[arg-type]
        return sum(pipe.execute())
