"""An ingest takes what waits along: the oldest first, as much as is good for a transaction, and nothing else."""

import importlib
import json
from types import ModuleType

import pytest
from kombu.utils.json import dumps
from redis.exceptions import ConnectionError as RedisAwayError

from app.broker.envelope import advance_message
from app.handlers.registration import registry
from app.ingest import queue
from app.recovery import sweeper
from app.recovery.redis_time import now_ms
from app.stores.redis_keys import JOURNAL
from config.celery import INGEST, WEBHOOKS
from tests.helpers.clock import Clock
from tests.helpers.core import Core, text_body

pytestmark = pytest.mark.core(messages="noted")

WAITING = 16
GRACE_SECONDS = 10
OLD_MS = 60_000


@pytest.fixture
def task(core: Core, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Its handlers are those of the process."""
    monkeypatch.setattr(registry, "handlers", core.registry.handlers)
    return importlib.import_module("tasks.ingest")


@pytest.fixture
def clock(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(task, "time", clock)
    return clock


def accepted(core: Core, count: int = WAITING) -> list[str]:
    """So many deliveries, each as a message of its own; their ids."""
    return [core.accept(text_body(f"m{nth}", sender=nth))[0] for nth in range(count)]


def taken(core: Core) -> list[str]:
    return [str(delivery.id) for delivery in queue.drain(core.redis)[0]]


def test_what_waits_is_taken_the_oldest_first(core: Core) -> None:
    ids = accepted(core)
    assert taken(core) == ids
    assert queue.drain(core.redis) == ([], 0)


def test_no_more_is_taken_once_the_messages_are_large_and_it_is_told_what_is_left(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = accepted(core)
    oldest = core.redis.lindex(WEBHOOKS, -1)
    monkeypatch.setattr(queue, "BYTES", len(oldest) + 1)
    found, left = queue.drain(core.redis)
    assert [str(delivery.id) for delivery in found] == ids[:2]  # the second reaches it
    assert left == core.redis.llen(WEBHOOKS) == WAITING - 2
    assert [id_ for id_, _ in core.take_task()] == [ids[2]]


def test_bodies_come_as_they_were_accepted(core: Core) -> None:
    accepted(core, 3)
    core.accept(text_body("a"), b"\xff no text", b"")
    accepted(core, WAITING)
    before = {id_: core.redis.hget(JOURNAL, id_) for id_ in map(bytes.decode, core.redis.hkeys(JOURNAL))}
    found, _ = queue.drain(core.redis)
    assert b"\xff no text" in [delivery.body for delivery in found]
    assert all(delivery.body == before[str(delivery.id)] for delivery in found)


def test_another_tasks_message_stays_where_it_is_and_so_does_what_is_behind_it(core: Core) -> None:
    ids = accepted(core, 1)
    core.redis.lpush(WEBHOOKS, advance_message(7))
    accepted(core)
    assert taken(core) == ids
    assert core.redis.lindex(WEBHOOKS, -1).count(b'"task": "advance"') == 1
    assert taken(core) == []


def test_a_message_that_cannot_be_decoded_is_the_next_that_celery_gets(core: Core) -> None:
    broken = json.dumps({"body": "no Base64!", "headers": {"task": INGEST}}).encode()
    core.redis.lpush(WEBHOOKS, broken)
    ids = accepted(core)
    assert taken(core) == ids
    assert core.redis.lindex(WEBHOOKS, -1) == broken


def test_a_message_that_kombu_gave_out_again_is_taken_too(core: Core) -> None:
    id_ = accepted(core, 1)[0]
    message = json.loads(core.redis.rpop(WEBHOOKS))
    message["headers"]["redelivered"] = True
    core.redis.lpush(WEBHOOKS, dumps(message))
    assert taken(core) == [id_]


def test_the_task_ingest_stores_what_it_took_along_with_its_own(core: Core, task: ModuleType) -> None:
    accepted(core)
    task.ingest_deliveries(core.take_task())
    assert core.value("SELECT count(*) FROM event_jobs") == WAITING
    assert core.value("SELECT count(DISTINCT ingested_at) FROM deliveries") == 1  # in one transaction
    assert core.redis.hlen(JOURNAL) == core.redis.llen(WEBHOOKS) == 0


def test_the_task_ingest_stores_what_comes_while_it_pauses_for_it(
    core: Core, task: ModuleType, clock: Clock
) -> None:
    clock.meanwhile = [lambda: accepted(core, 2), lambda: accepted(core, 1)]
    accepted(core, 1)
    task.ingest_deliveries(core.take_task())
    assert core.value("SELECT count(DISTINCT ingested_at) FROM deliveries") == 3
    assert clock.slept == [task.PAUSE_SECONDS] * 3  # after the third nothing had come


def test_the_task_ingest_does_not_pause_while_more_waits(
    core: Core, task: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "BYTES", 1)
    accepted(core, 3)
    task.ingest_deliveries(core.take_task())
    assert core.value("SELECT count(*) FROM event_jobs") == 3
    assert len(clock.slept) == 1


def test_the_task_ingest_makes_room_for_the_sweeps_however_much_comes(
    core: Core, task: ModuleType, clock: Clock
) -> None:
    clock.meanwhile = [lambda: accepted(core, 1)] * 100
    accepted(core, 1)
    task.ingest_deliveries(core.take_task())
    assert task.MORE_SECONDS <= sum(clock.slept) <= task.MORE_SECONDS + 2 * task.PAUSE_SECONDS
    assert core.redis.llen(WEBHOOKS) == 0  # what it took it stored


def test_a_delivery_that_came_twice_is_stored_once(core: Core, task: ModuleType, clock: Clock) -> None:
    accepted(core, 1)
    twice = core.redis.lindex(WEBHOOKS, -1)
    core.redis.rpush(WEBHOOKS, *[twice] * 4)
    clock.meanwhile = [lambda: core.redis.rpush(WEBHOOKS, twice, twice)]
    task.ingest_deliveries(core.take_task())
    assert core.rows("SELECT events, duplicates FROM deliveries") == [(1, 0)]


def test_without_a_queue_to_take_from_the_task_stores_its_own(
    core: Core, task: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise RedisAwayError

    accepted(core)
    monkeypatch.setattr(task, "drain", away)
    task.ingest_deliveries(core.take_task())
    assert core.value("SELECT count(*) FROM event_jobs") == 1


def test_what_was_taken_by_an_ingest_that_died_is_enqueued_again(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = now_ms(core.redis) - OLD_MS
    ids = [core.accept(text_body(f"m{nth}"), at_ms=begin + nth)[0] for nth in range(8)]
    monkeypatch.setattr(queue, "BYTES", 1)
    lost = taken(core)
    assert lost == ids[:1]
    core.ingest_waiting()
    assert sweeper.sweep_journal(core.redis, GRACE_SECONDS) == len(lost)
    core.ingest_waiting()
    assert core.value("SELECT count(*) FROM event_jobs") == len(ids)
    assert core.redis.hlen(JOURNAL) == 0
