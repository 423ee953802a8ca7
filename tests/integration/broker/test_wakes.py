"""Wakes: at most one in the queue for each lane, and none lost."""

from app.broker import wakes
from app.handlers import Context, Event
from app.stores.redis_keys import WAKES
from config.celery import CONVERSATIONS
from tests.helpers.core import Core, text_body


def test_wakes_of_a_lane_coalesce_while_one_waits(core: Core) -> None:
    assert wakes.wake(core.redis, [7, 8, 7]) == 2
    assert wakes.wake(core.redis, [8, 9]) == 1
    assert core.wakes_in_queue() == [7, 8, 9]


def test_a_wake_after_the_last_was_received_is_enqueued_again(core: Core) -> None:
    wakes.wake(core.redis, [7])
    core.redis.rpop("conversations")
    wakes.receive_wakes(core.redis, [7])
    assert wakes.wake(core.redis, [7]) == 1
    assert core.wakes_in_queue() == [7]


def test_more_lanes_than_one_call_takes_are_all_woken(core: Core) -> None:
    lanes = list(range(2 * wakes.LANES_A_CALL + 1))
    assert wakes.wake(core.redis, lanes) == len(lanes)
    assert core.wakes_in_queue() == lanes
    assert core.redis.zcard(WAKES) == len(lanes)


def test_no_lanes_need_no_call(core: Core) -> None:
    assert wakes.wake(core.redis, []) == 0


def test_the_scripts_are_loaded_again_after_redis_has_lost_them(core: Core) -> None:
    wakes.wake(core.redis, [7])
    core.redis.script_flush()
    assert wakes.wake(core.redis, [8]) == 1


def test_many_events_of_one_conversation_wake_its_lane_once(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("a", "b"), text_body("c"))
    core.ingest(text_body("d"))
    assert len(core.wakes_in_queue()) == 1


def test_an_event_that_is_stored_while_its_lane_is_worked_on_wakes_it_again(core: Core) -> None:
    def store_more(event: Event, ctx: Context) -> None:
        core.note(event, ctx)
        if event.text == "first":
            core.ingest(text_body("second"))

    core.on("message", None, store_more)
    core.ingest(text_body("first"))
    core.run()
    assert core.seen == ["first", "second"]
    assert core.wakes_in_queue() == []


# Several lanes at once


def test_a_worker_may_take_a_share_of_the_lanes_that_wait_the_oldest_first(core: Core) -> None:
    lanes = list(range(1, 4 * wakes.SHARE + 1))
    wakes.wake(core.redis, lanes)
    assert wakes.receive_wakes(core.redis, [99], 100).lanes == [99, 1, 2, 3, 4]
    assert core.wakes_in_queue() == lanes[4:]
    assert core.redis.zcard(WAKES) == len(lanes[4:])


def test_a_worker_takes_no_more_lanes_than_it_wants(core: Core) -> None:
    wakes.wake(core.redis, range(1, 8 * wakes.SHARE))
    assert wakes.receive_wakes(core.redis, [99], 3).lanes == [99, 1, 2]
    assert wakes.receive_wakes(core.redis, [99]).lanes == [99]


def test_from_a_short_queue_no_lane_is_taken(core: Core) -> None:
    wakes.wake(core.redis, range(1, wakes.SHARE))
    assert wakes.receive_wakes(core.redis, [99], 100).lanes == [99]


def test_a_message_that_is_no_wake_stays_in_the_queue_for_celery(core: Core) -> None:
    wakes.wake(core.redis, [1])
    core.redis.lpush(CONVERSATIONS, *["{}"] * (2 * wakes.SHARE))
    assert wakes.receive_wakes(core.redis, [99], 100).lanes == [99, 1]
    assert core.redis.llen(CONVERSATIONS) == 2 * wakes.SHARE
