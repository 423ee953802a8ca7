"""Urgent jobs run before others and wait for no retry of theirs; bulk ones run when nothing else waits."""

from collections.abc import Callable

import pytest

from app.broker import wakes
from app.handlers import Context, Event, on_message
from app.handlers.options import HandlerError
from app.lanes.outcome import Outcome
from app.recovery import lost_wakes
from app.stores import BULK_WAKES, URGENT_WAKES, Priority, priority_of
from config.celery import BULK_CONVERSATIONS, CONVERSATIONS
from tests.helpers import factories as f
from tests.helpers.core import Core, advanced, text_body

URGENT, BULK = 1_000_000_000_000_007, 2_000_000_000_000_007


def lane_names(core: Core) -> dict[str, int]:
    """Each job's lane name and lane."""
    statement = "SELECT n.name, j.lane FROM jobs j JOIN lane_names n ON n.id = j.lane_name_id"
    return {row.name: row.lane for row in core.rows(statement)}


def noted_as(core: Core, name: str) -> Callable[[Event, Context], None]:
    def handle(event: Event, ctx: Context) -> None:
        core.seen.append(f"{name} {event.text}")

    return handle


def test_a_lanes_number_says_how_urgent_it_is() -> None:
    assert [priority_of(lane) for lane in (7, URGENT, BULK)] == [
        Priority.NORMAL,
        Priority.URGENT,
        Priority.BULK,
    ]


def test_urgent_wakes_are_given_out_first_and_bulk_ones_last(core: Core) -> None:
    wakes.wake(core.redis, [BULK, 8, URGENT, 9])
    assert core.wakes_in_queue() == [URGENT, 8, 9, BULK]
    assert core.redis.llen(CONVERSATIONS) == 3


def test_a_bulk_wake_does_not_keep_a_normal_one_of_the_same_lane_back(core: Core) -> None:
    assert wakes.wake(core.redis, [8], bulk=True) == 1
    assert wakes.wake(core.redis, [8]) == 1
    assert core.redis.llen(CONVERSATIONS) == 1


def test_bulk_lanes_are_taken_along_only_while_nothing_else_waits(core: Core) -> None:
    wakes.wake(core.redis, range(BULK, BULK + 2))
    wakes.wake(core.redis, [8])
    assert wakes.receive_wakes(core.redis, [], 64) == ([], False)
    core.redis.rpop(CONVERSATIONS)
    assert wakes.receive_wakes(core.redis, [], 64) == ([BULK, BULK + 1], True)
    assert wakes.receive_wakes(core.redis, [8], 64) == ([8], False)


def test_lost_wakes_are_removed_whatever_their_priority_and_others_are_not(core: Core) -> None:
    wakes.wake(core.redis, [BULK, 8, URGENT])
    assert lost_wakes.remove_lost_wakes(core.redis, 0) == 0
    core.redis.delete(CONVERSATIONS, BULK_CONVERSATIONS)
    assert lost_wakes.remove_lost_wakes(core.redis, 0) == 3
    assert not core.redis.exists(URGENT_WAKES, BULK_WAKES)


def test_an_urgent_job_does_not_wait_for_another_ones_retry_in_its_conversation(core: Core) -> None:
    core.on("message", "text", core.failing("broken"))
    core.on("message", "image", noted_as(core, "urgent"), priority="urgent")
    core.ingest(text_body("broken"))
    core.run()
    core.ingest(text_body("after"), f.body(f.messages(f.message("image", number="picture"))))
    core.run()
    assert core.seen == ["urgent None"]
    assert core.states() == {"pending": 2, "done": 1}


def test_urgent_jobs_of_a_conversation_run_in_their_own_order(core: Core) -> None:
    core.on("message", None, priority="urgent")
    core.ingest(text_body("first"), text_body("second"))
    assert set(lane_names(core)) == {"main/urgent"}
    core.run()
    assert core.seen == ["first", "second"]


def test_calls_are_urgent_and_history_is_bulk_unless_a_handler_says_otherwise(core: Core) -> None:
    core.on("other", None)
    core.on("other", "history", lane="archive", priority="normal")
    core.ingest(f.body(f.calls(f.call())), f.body(f.history()))
    lanes = lane_names(core)
    assert set(lanes) == {"main/urgent", "main/bulk", "archive"}
    assert priority_of(lanes["main/urgent"]) is Priority.URGENT
    assert priority_of(lanes["main/bulk"]) is Priority.BULK
    assert priority_of(lanes["archive"]) is Priority.NORMAL


def test_a_priority_that_there_is_not_ends_the_start() -> None:
    with pytest.raises(HandlerError, match="priority must be one of urgent, normal, bulk, not 'high'"):
        on_message("text", priority="high")  # type: ignore[arg-type]


def test_bulk_work_stops_after_its_budget_and_goes_on_as_bulk(core: Core) -> None:
    core.on("message", None, priority="bulk")
    (lane,) = core.ingest(text_body("a"), text_body("b")).lanes
    (step,) = advanced(core.lanes(), [lane], 0)
    assert (step.outcome, step.has_more) == (Outcome.DONE, True)
    core.redis.delete(BULK_CONVERSATIONS, BULK_WAKES)
    wakes.wake(core.redis, [lane], bulk=True)
    assert core.redis.llen(CONVERSATIONS) == 0
    core.run()
    assert core.seen == ["a", "b"]
