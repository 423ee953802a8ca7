"""What was lost between the stores is found and enqueued again, once, and a mere backlog is not."""

import pytest

from app.broker.envelope import arguments_of
from app.recovery import sweeper
from app.recovery.redis_time import now_ms
from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, JOURNAL_REQUEUES, WAKES
from config.celery import CONVERSATIONS, WEBHOOKS
from tests.helpers import factories as f
from tests.helpers.core import LEASE_SECONDS, Core, text_body
from tests.integration.recovery.sweeps import GRACE_SECONDS, HOUR_MS, OLD_MS

pytestmark = pytest.mark.core(messages="noted")


def accept_long_ago(core: Core, *contents: f.Json | bytes) -> list[str]:
    """Accepted one after the other, a minute ago, each as a task of its own."""
    begin = now_ms(core.redis) - OLD_MS
    return [core.accept(content, at_ms=begin + nth)[0] for nth, content in enumerate(contents)]


def sweep(core: Core) -> int:
    return sweeper.sweep_journal(core.redis, GRACE_SECONDS)


def tasks(core: Core) -> list[list[str]]:
    """The ids of the deliveries in each task of the queue, the oldest first."""
    messages = reversed(core.redis.lrange(WEBHOOKS, 0, -1))
    return [[id_ for id_, _ in arguments_of(message)[0]] for message in messages]


# The journal


def test_a_delivery_whose_message_was_lost_is_enqueued_again_once(core: Core) -> None:
    (id_,) = accept_long_ago(core, text_body("a"))
    core.redis.delete(WEBHOOKS)
    assert [sweep(core), sweep(core)] == [1, 0]
    assert tasks(core) == [[id_]]
    core.ingest_waiting()
    core.run()
    assert core.seen == ["a"]
    assert core.redis.exists(JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED) == 0


def test_a_delivery_that_was_accepted_just_now_is_not_enqueued_again(core: Core) -> None:
    core.accept(text_body("a"))
    core.redis.delete(WEBHOOKS)
    assert sweep(core) == 0


def test_a_mere_backlog_is_not_enqueued_twice(core: Core) -> None:
    ids = accept_long_ago(core, text_body("a"), text_body("b"), text_body("c"))
    assert sweep(core) == 0
    assert tasks(core) == [[id_] for id_ in ids]


def test_what_was_lost_before_a_backlog_is_found(core: Core) -> None:
    lost, *waiting = accept_long_ago(core, text_body("lost"), text_body("b"), text_body("c"))
    core.redis.rpop(WEBHOOKS)
    assert sweep(core) == 1
    assert tasks(core) == [*([id_] for id_ in waiting), [lost]]


def test_what_was_lost_behind_a_backlog_is_found_once_the_backlog_is_gone(core: Core) -> None:
    _, lost = accept_long_ago(core, text_body("waits"), text_body("lost"))
    core.redis.lpop(WEBHOOKS)
    assert sweep(core) == 0
    core.ingest_waiting()
    assert sweep(core) == 1
    assert tasks(core) == [[lost]]


def test_what_was_enqueued_again_and_lost_again_is_found_after_the_grace(core: Core) -> None:
    (id_,) = accept_long_ago(core, text_body("a"))
    core.redis.delete(WEBHOOKS)
    sweep(core)
    core.redis.delete(WEBHOOKS)
    assert sweep(core) == 0
    core.redis.zadd(JOURNAL_REQUEUED, {id_: now_ms(core.redis) - OLD_MS})
    assert sweep(core) == 1


def test_what_was_lost_again_no_longer_shares_a_message_with_what_may_have_ended_its_ingest(
    core: Core,
) -> None:
    ids = accept_long_ago(core, text_body("a"), text_body("b"), text_body("c"))
    core.redis.delete(WEBHOOKS)
    sweep(core)
    assert tasks(core) == [ids]
    core.redis.delete(WEBHOOKS)
    core.redis.zadd(JOURNAL_REQUEUED, dict.fromkeys(ids, now_ms(core.redis) - OLD_MS))
    assert sweep(core) == 3
    assert tasks(core) == [[id_] for id_ in ids]


def test_a_message_that_was_delivered_twice_does_not_make_a_backlog_look_lost(core: Core) -> None:
    """The broker gives a message out again when its worker died after the commit: it waits first in the queue."""
    accept_long_ago(core, text_body("done"), text_body("waits"))
    message = core.redis.rpop(WEBHOOKS)
    core.ingest_as(*arguments_of(message)[0])
    core.redis.rpush(WEBHOOKS, message)
    assert sweep(core) == 0


def test_the_bodies_that_are_enqueued_again_are_the_same_bytes(core: Core) -> None:
    body = b'{"odd": "\xff\x00"}'
    accept_long_ago(core, body)
    core.redis.delete(WEBHOOKS)
    sweep(core)
    assert core.take_task()[0][1] == body


def test_messages_of_the_sweep_are_bounded_in_bodies_and_in_bytes(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BODIES_A_MESSAGE", 3)
    monkeypatch.setattr(sweeper, "BYTES_A_MESSAGE", 100)
    ids = accept_long_ago(core, *[b"x" * size for size in (10, 10, 10, 10, 60, 90, 200, 10)])
    core.redis.delete(WEBHOOKS)
    sweep(core)
    assert tasks(core) == [ids[:3], ids[3:5], ids[5:6], ids[6:7], ids[7:]]


def test_an_entry_of_the_index_without_a_body_stops_nothing(core: Core) -> None:
    _, kept = accept_long_ago(core, text_body("gone"), text_body("kept"))
    core.redis.delete(WEBHOOKS)
    core.redis.hdel(JOURNAL, core.redis.zrange(JOURNAL_INDEX, 0, 0)[0])
    assert sweep(core) == 1
    assert tasks(core) == [[kept]]


def test_every_queue_is_rebuilt_after_all_but_the_journal_was_lost(core: Core) -> None:
    accept_long_ago(core, text_body("ingested", sender=1))
    core.ingest_waiting()
    accept_long_ago(core, text_body("journal", sender=2))
    core.redis.delete(WEBHOOKS, CONVERSATIONS, WAKES)
    assert sweep(core) == 1
    core.ingest_waiting()
    sweeper.sweep_lanes(core.engine, core.redis, GRACE_SECONDS, LEASE_SECONDS)
    core.run()
    assert sorted(core.seen) == ["ingested", "journal"]


# Redis's clock was set back: what is there is dated an hour ahead


def test_a_delivery_that_is_dated_an_hour_ahead_is_found_after_the_grace(core: Core) -> None:
    (id_,) = core.accept(text_body("a"), at_ms=now_ms(core.redis) + HOUR_MS)[:1]
    core.redis.delete(WEBHOOKS)
    assert sweep(core) == 0
    dated = core.redis.zscore(JOURNAL_INDEX, id_)
    assert dated is not None
    assert dated <= now_ms(core.redis)
    assert sweeper.sweep_journal(core.redis, 0) == 1
    assert tasks(core) == [[id_]]


def test_marks_of_a_delivery_that_was_ingested_meanwhile_are_dropped(core: Core) -> None:
    (id_,) = core.accept(text_body("a"))
    core.ingest_waiting()
    core.redis.zadd(JOURNAL_REQUEUED, {id_: 1})
    core.redis.hset(JOURNAL_REQUEUES, id_, 1)
    (kept,) = core.accept(text_body("b"))
    core.redis.zadd(JOURNAL_REQUEUED, {kept: 1})
    sweeper.sweep_journal(core.redis, 3600)
    assert core.redis.zrange(JOURNAL_REQUEUED, 0, -1) == [kept.encode()]
    assert core.redis.hgetall(JOURNAL_REQUEUES) == {}
