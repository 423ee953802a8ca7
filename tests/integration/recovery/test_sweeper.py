"""What was lost between the stores is found and enqueued again, once, and a mere backlog is not."""

import json
from typing import Any

import pytest

from app.broker import wakes
from app.broker.envelope import arguments_of
from app.recovery import sweeper
from app.recovery.sweeper import now_ms
from app.stores.models import EventState
from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX, JOURNAL_REQUEUED, WAKES, lane_claim
from config.celery import CONVERSATIONS, WEBHOOKS
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.rows import add_events, ago

pytestmark = pytest.mark.core(messages="noted")

GRACE_SECONDS = 10
OLD_MS = 60_000


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
    sweeper.sweep_lanes(core.engine, core.redis, GRACE_SECONDS)
    core.run()
    assert sorted(core.seen) == ["ingested", "journal"]


# Lanes


def sweep_lanes(core: Core) -> int:
    return sweeper.sweep_lanes(core.engine, core.redis, GRACE_SECONDS)


def lanes_waiting(core: Core, count: int = 1, **different: Any) -> list[int]:
    """Lanes with an event that has been pending for longer than the grace."""
    ids = add_events(core.engine, count, accepted_at=ago(GRACE_SECONDS + 1), **different)
    return [
        row.lane for row in core.rows("SELECT lane FROM events WHERE id = ANY(:ids) ORDER BY id", ids=ids)
    ]


def make_wakes_old(core: Core) -> None:
    for lane, since in core.redis.zrange(WAKES, 0, -1, withscores=True):
        core.redis.zadd(WAKES, {lane: since - OLD_MS})


def test_a_lane_that_lost_its_wake_is_woken_again_once(core: Core) -> None:
    lanes = lanes_waiting(core, 3)
    assert [sweep_lanes(core), sweep_lanes(core)] == [3, 0]
    assert core.wakes_in_queue() == lanes


def test_a_lane_whose_wake_waits_in_the_queue_is_not_woken_again(core: Core) -> None:
    lanes = lanes_waiting(core, 3)
    wakes.wake(core.redis, lanes)
    make_wakes_old(core)
    assert sweep_lanes(core) == 0


def test_a_lane_whose_message_was_lost_is_woken_again(core: Core) -> None:
    lost, waiting = lanes_waiting(core, 2)
    wakes.wake(core.redis, [lost])
    make_wakes_old(core)
    core.redis.rpop(CONVERSATIONS)
    wakes.wake(core.redis, [waiting])
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [waiting, lost]


def test_a_wake_of_just_now_is_not_taken_for_lost(core: Core) -> None:
    wakes.wake(core.redis, lanes_waiting(core))
    core.redis.delete(CONVERSATIONS)  # a worker has taken it and not said so yet
    assert sweep_lanes(core) == 0


def test_a_lane_that_somebody_works_on_is_left_alone(core: Core) -> None:
    claimed, free = lanes_waiting(core, 2)
    core.redis.set(lane_claim(claimed), "token")
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [free]


@pytest.mark.parametrize(
    "different",
    [{"due_at": ago(-60)}, {"state": EventState.DONE}, {"state": EventState.DEAD}],
    ids=["waits for its next attempt", "done", "dead"],
)
def test_a_lane_without_work_is_left_alone(core: Core, different: dict[str, Any]) -> None:
    lanes_waiting(core, **different)
    assert sweep_lanes(core) == 0


def test_a_lane_is_due_when_its_next_attempt_is(core: Core) -> None:
    (due,) = lanes_waiting(core, due_at=ago(1))
    lanes_waiting(core, due_at=ago(-60))
    lanes_waiting(core)
    with core.engine.connect() as connection:
        assert sweeper.due_lanes(connection) == [due]


def test_many_lanes_are_swept_in_parts(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "KEYS_A_CALL", 2)
    lanes = lanes_waiting(core, 5)
    assert sweep_lanes(core) == 5
    assert core.wakes_in_queue() == lanes


def test_lanes_are_looked_through_as_long_as_many_are_lost(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    lanes = lanes_waiting(core, 5)
    assert sweep_lanes(core) == 5
    assert sorted(core.wakes_in_queue()) == lanes


def test_a_lost_lane_behind_many_that_merely_wait_is_found_in_its_turn(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    lanes = lanes_waiting(core, 5)
    wakes.wake(core.redis, lanes[:4])
    assert [sweep_lanes(core) for _ in range(4)] == [0, 0, 1, 0]
    core.redis.zrem(WAKES, lanes[1])
    assert sum(sweep_lanes(core) for _ in range(3)) == 1


def test_a_lane_of_many_old_events_hides_no_younger_one(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "LANES_AT_ONCE", 2)
    (hot,) = set(lanes_waiting(core, 50, lane=1))
    (lost,) = lanes_waiting(core, lane=2)
    core.redis.set(lane_claim(hot), "token")
    assert sweep_lanes(core) == 1
    assert core.wakes_in_queue() == [lost]


def test_a_lane_whose_first_event_waits_for_its_next_attempt_is_left_alone(core: Core) -> None:
    (lane,) = lanes_waiting(core, due_at=ago(-60), occurred_at=ago(100))
    lanes_waiting(core, 3, lane=lane)
    assert sweep_lanes(core) == 0
    core.execute("UPDATE events SET holds = false WHERE due_at IS NOT NULL")
    assert sweep_lanes(core) == 1


# The fallback store


def stored(core: Core) -> list[str]:
    with core.engine.connect() as connection:
        return [str(delivery.id) for delivery in sweeper.stored_deliveries(connection)]


def test_deliveries_in_the_fallback_store_come_oldest_first(core: Core) -> None:
    old, older = (core.accept_in_fallback_store(text_body(words), age) for words, age in (("a", 5), ("b", 9)))
    assert stored(core) == [older, old]


def test_deliveries_in_the_fallback_store_are_taken_in_bounded_numbers_and_bytes(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "STORED_AT_ONCE", 3)
    monkeypatch.setattr(sweeper, "STORED_BYTES_AT_ONCE", 100)
    ids = [core.accept_in_fallback_store(b"x" * 60, 10 - nth) for nth in range(3)]
    assert stored(core) == ids[:2]
    core.execute("UPDATE deliveries SET body = 'x'")
    core.accept_in_fallback_store(b"y")
    assert stored(core) == ids


def test_a_delivery_larger_than_the_bound_is_taken_alone(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "STORED_BYTES_AT_ONCE", 10)
    large = core.accept_in_fallback_store(b"x" * 1000, 2)
    core.accept_in_fallback_store(b"y", 1)
    assert stored(core) == [large]


def test_a_delivery_that_came_through_both_doors_is_one(core: Core) -> None:
    (id_,) = core.accept(text_body("a"))
    core.execute(
        "INSERT INTO deliveries (id, accepted_at, door, state, body) "
        "VALUES (:id, clock_timestamp(), 'postgres', 'stored', :body)",
        id=id_,
        body=f.wire(text_body("a")),
    )
    core.ingest_waiting()
    assert stored(core) == []
    assert core.states() == {"pending": 1}
    assert json.loads(core.event("a").payload)["item"]["id"] == f.wamid("a")


# Redis's clock was set back: what is there is dated an hour ahead

HOUR_MS = 3_600_000


def test_a_delivery_that_is_dated_an_hour_ahead_is_found_after_the_grace(core: Core) -> None:
    (id_,) = core.accept(text_body("a"), at_ms=now_ms(core.redis) + HOUR_MS)[:1]
    core.redis.delete(WEBHOOKS)
    assert sweep(core) == 0
    dated = core.redis.zscore(JOURNAL_INDEX, id_)
    assert dated is not None
    assert dated <= now_ms(core.redis)
    assert sweeper.sweep_journal(core.redis, 0) == 1
    assert tasks(core) == [[id_]]


def test_a_lost_wake_that_is_dated_an_hour_ahead_is_forgotten_after_the_grace(core: Core) -> None:
    core.redis.zadd(WAKES, {"7": now_ms(core.redis) + HOUR_MS})
    assert sweeper.remove_lost_wakes(core.redis, GRACE_SECONDS) == 0
    assert sweeper.remove_lost_wakes(core.redis, 0) == 1
