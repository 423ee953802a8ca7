"""A paused conversation keeps everything, runs nothing, and goes on in order."""

import pytest
from sqlalchemy import text

from app.lanes import pauses
from app.lanes.outcome import Outcome
from app.lanes.pauses import ConversationError
from app.recovery import sweeper
from app.watch import backlog
from config.celery import CONVERSATIONS
from tests.helpers import factories as f
from tests.helpers.core import LEASE_SECONDS, Core, text_body

pytestmark = pytest.mark.core(messages="noted")

WINDOW_SECONDS = 300


def lane_of(core: Core, user: int = 1) -> int:
    with core.engine.connect() as connection:
        return pauses.find(connection, f"{f.PHONE_NUMBER_ID}/{f.phone(user)}")


def pause(core: Core, user: int = 1) -> int:
    lane = lane_of(core, user)
    assert pauses.pause(core.engine, lane, "ada")
    return lane


def test_what_arrives_in_a_paused_conversation_waits_and_goes_on_in_order(core: Core) -> None:
    core.ingest(text_body("before"))
    core.run()
    lane = pause(core)
    core.ingest(text_body("first", "second"))
    core.ingest(text_body("third"))
    core.run()
    assert core.seen == ["before"]
    assert pauses.resume(core.engine, core.redis, lane, "grace")
    core.run()
    assert core.seen == ["before", "first", "second", "third"]


def test_the_other_conversations_go_on(core: Core) -> None:
    core.ingest(text_body("mine"), text_body("yours", sender=2))
    pause(core)
    core.run()
    assert core.seen == ["yours"]


def test_a_lane_says_that_it_is_paused(core: Core) -> None:
    core.ingest(text_body("waits"))
    lane = pause(core)
    assert core.lanes().step(lane).outcome is Outcome.PAUSED
    assert core.redis.llen(CONVERSATIONS) == 1


def test_sweeps_leave_a_paused_lane_alone(core: Core) -> None:
    core.ingest(text_body("waits"))
    pause(core)
    core.run()
    core.execute("UPDATE jobs SET since = since - interval '1 hour', due_at = NULL")
    assert sweeper.sweep_lanes(core.engine, core.redis, 0, LEASE_SECONDS) == 0
    core.execute("UPDATE jobs SET due_at = clock_timestamp() - interval '1 hour'")
    with core.engine.connect() as connection:
        assert sweeper.due_lanes(connection) == []


def test_what_waits_in_a_paused_lane_counts_and_does_not_look_stuck(core: Core) -> None:
    core.ingest(text_body("waits", "waits too"))
    lane = pause(core)
    core.execute("UPDATE jobs SET since = since - interval '1 hour'")
    core.run()
    measured = backlog.measure(core.engine, core.redis, WINDOW_SECONDS)
    assert (measured.stored.pending, measured.stored.paused, measured.stored.paused_lanes) == (2, 2, 1)
    assert measured.oldest_seconds == 0
    pauses.resume(core.engine, core.redis, lane, "ada")
    assert backlog.measure(core.engine, core.redis, WINDOW_SECONDS).oldest_seconds >= 3600


def test_pausing_twice_and_resuming_what_runs_change_nothing(core: Core) -> None:
    core.ingest(text_body("one"))
    lane = pause(core)
    assert not pauses.pause(core.engine, lane, "grace")
    with core.engine.connect() as connection:
        state = pauses.state(connection, lane)
    assert state is not None
    assert state.paused_by == "ada"
    assert pauses.resume(core.engine, core.redis, lane, "ada")
    assert not pauses.resume(core.engine, core.redis, lane, "ada")


def test_a_pause_outlives_the_merge_of_two_conversations(core: Core) -> None:
    by_phone = f.text_message("by phone", number="p", from_user_id=None)
    by_id = f.text_message("by id", number="i", **{"from": None})
    core.ingest(f.body(f.messages(by_phone)), f.body(f.messages(by_id)))
    lane = pause(core)
    core.ingest(text_body("both"))
    core.run()
    assert "both" not in core.seen
    winner = lane_of(core)
    assert winner != lane
    with core.engine.connect() as connection:
        state = pauses.state(connection, lane)
    assert state is not None
    assert (state.lane, state.paused_by) == (winner, "ada")
    assert not pauses.pause(core.engine, winner, "grace")
    assert pauses.resume(core.engine, core.redis, winner, "ada")
    core.run()
    assert core.seen[-1] == "both"


@pytest.mark.parametrize("name", ["phone", "bare phone", "with a plus", "user id", "number"])
def test_a_conversation_is_found_by_any_of_its_names(name: str, core: Core) -> None:
    core.ingest(text_body("hello"))
    lane = lane_of(core)
    names = {
        "phone": f"{f.PHONE_NUMBER_ID}/{f.phone(1)}",
        "bare phone": f.phone(1),
        "with a plus": f"+{f.phone(1)}",
        "user id": f.user_id(1),
        "number": str(lane),
    }
    with core.engine.connect() as connection:
        assert pauses.find(connection, names[name]) == lane


def test_an_unknown_name_and_a_name_of_several_are_refused(core: Core) -> None:
    other = f.change("messages", "999", messages=[f.text_message("b", number="b", from_user_id=None)])
    mine = f.text_message("a", number="a", from_user_id=None)
    core.ingest(f.body(f.messages(mine)), f.body(other))
    with core.engine.connect() as connection:
        with pytest.raises(ConversationError, match="no such conversation"):
            pauses.find(connection, "15559999999")
        with pytest.raises(ConversationError, match="several"):
            pauses.find(connection, f.phone(1))
        assert pauses.state(connection, 10**12) is None
        assert (
            connection.execute(text("SELECT count(*) FROM lanes WHERE paused_at IS NOT NULL")).scalar() == 0
        )
