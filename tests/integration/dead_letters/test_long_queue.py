"""The queue of dead letters and the table, when there are many."""

import tracemalloc
from datetime import UTC, datetime, timedelta

import pytest

from app import dead_letters
from app.broker.envelope import retry_dead_letter_message
from app.dead_letters import queue
from app.stores.models import JobState
from config.celery import DEAD_LETTERS
from tests.helpers.core import Core
from tests.helpers.rows import add_events

MANY = 5_000
BYTES_A_LETTER = 700  # in memory at once; its message alone has about as many
UNKNOWN = 10**12


def die_long_ago(core: Core, count: int) -> list[int]:
    died = datetime.now(UTC) - timedelta(hours=1)
    return add_events(core.engine, count, state=JobState.DEAD, finished_at=died, error="ValueError")


def test_a_queue_that_is_read_in_parts_is_made_equal_to_the_table(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MESSAGES_A_CALL", 3)
    ids = die_long_ago(core, 10)
    assert dead_letters.reconcile(core.engine, core.redis) == (10, 0)
    core.redis.lrem(DEAD_LETTERS, 1, retry_dead_letter_message(ids[4]))
    strange = b"not a message of ours"
    core.redis.rpush(
        DEAD_LETTERS, strange, retry_dead_letter_message(UNKNOWN), retry_dead_letter_message(ids[2])
    )
    core.redis.lpush(DEAD_LETTERS, retry_dead_letter_message(ids[2]), strange)
    assert dead_letters.reconcile(core.engine, core.redis) == (1, 5)
    assert core.dead_queue() == ids
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)


def test_many_dead_letters_take_little_memory(core: Core) -> None:
    die_long_ago(core, MANY)
    dead_letters.reconcile(core.engine, core.redis)
    core.redis.rpop(DEAD_LETTERS)
    tracemalloc.start()
    try:
        assert dead_letters.reconcile(core.engine, core.redis) == (1, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A part of the queue is read whole
    assert peak < MANY * BYTES_A_LETTER + queue.MESSAGES_A_CALL * 2_000
