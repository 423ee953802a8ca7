"""A lane of a test of handlers alone joins messages as a real one does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.handlers import Context, Event, Registry
from app.handlers.registration import Handler
from app.handlers.retry import RetryPolicy
from app.testing.lane_double import LaneDouble, WaitingRun

JOIN = timedelta(seconds=2)


def nothing(_event: Event | Sequence[Event], _ctx: Context) -> None: ...


TAKE = Handler("tests.take", nothing, RetryPolicy(), "hold", None, join_seconds=JOIN.total_seconds())
OTHER = Handler("tests.other", nothing, RetryPolicy(), "hold", None)


@pytest.fixture
def lane() -> LaneDouble:
    return LaneDouble("main")


def arrives(lane: LaneDouble, handler: Handler, *texts: str) -> None:
    now = datetime.now(UTC)
    for text in texts:
        event = Event(1, text, "message", "text", "c", now, now, False, "{}")
        due_at = now + JOIN if handler is TAKE else now
        lane.waiting.append(WaitingRun(event, handler, due_at))


def run(lane: LaneDouble) -> list[Any]:
    ran = []
    for each in lane.due(Registry()):
        ran.append([event.key for event in each.events])
        lane.waiting.remove(each)
    return ran


def test_what_comes_within_moments_is_one_list_once_the_user_is_quiet(lane: LaneDouble) -> None:
    arrives(lane, TAKE, "one")
    lane.move(JOIN / 2)
    arrives(lane, TAKE, "two")
    lane.move(JOIN / 2)
    assert run(lane) == []
    lane.move(JOIN / 2)
    assert run(lane) == [["one", "two"]]


def test_what_another_handler_runs_flushes(lane: LaneDouble) -> None:
    arrives(lane, TAKE, "one", "two")
    arrives(lane, OTHER, "picture")
    arrives(lane, TAKE, "three")
    assert run(lane) == [["one", "two"], ["picture"]]
    lane.move(JOIN)
    assert run(lane) == [["three"]]
