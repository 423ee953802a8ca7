"""A paused conversation keeps everything, runs nothing, and goes on in order."""

import time
from typing import Any

import pytest
from sqlalchemy import text

from app.handlers import Context, Event, handover, hours
from app.lanes import pauses
from app.lanes.outcome import Outcome
from app.lanes.pauses import ConversationError
from app.recovery import sweeper
from app.views import timeline
from app.watch import backlog
from config.celery import CONVERSATIONS
from config.settings import settings
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


# Pauses that end


def ends(core: Core) -> int:
    """The time of every pause is over, and the sweep has come."""
    core.execute("UPDATE lanes SET paused_until = clock_timestamp() WHERE paused_until IS NOT NULL")
    return pauses.resume_due(core.engine, core.redis)


def seen_by_a_person(core: Core, words: str) -> list[tuple[str, str | None]]:
    return [
        (row.who, row.reason)
        for row in core.rows(
            "SELECT who, reason FROM dead_letter_actions WHERE job_id = :id", id=core.event(words).id
        )
    ]


def test_a_pause_that_has_an_end_is_resumed_by_postgres_clock(core: Core) -> None:
    core.ingest(text_body("waits"))
    lane = lane_of(core)
    assert pauses.pause(core.engine, lane, "ada", 3600, "she knows him")
    core.run()
    assert pauses.resume_due(core.engine, core.redis) == 0
    assert core.seen == []
    with core.engine.connect() as connection:
        (waiting,) = timeline.find_timelines(connection, f.wamid("waits"))
    (shown,) = (moment.detail for moment in waiting.moments if moment.what == "paused")
    assert (shown["who"], shown["why"]) == ("ada", "she knows him")
    assert ends(core) == 1
    core.run()
    assert core.seen == ["waits"]


def test_a_longer_pause_replaces_a_shorter_one_and_a_shorter_one_changes_nothing(core: Core) -> None:
    core.ingest(text_body("waits"))
    lane = lane_of(core)
    assert pauses.pause(core.engine, lane, "ada", 60, "for a minute")
    assert pauses.pause(core.engine, lane, "grace", 3600, "for an hour")
    assert not pauses.pause(core.engine, lane, "bob", 30, "too short")
    with core.engine.connect() as connection:
        (shown,) = pauses.paused(connection)
    assert (shown.paused_by, shown.paused_why) == ("grace", "for an hour")
    assert pauses.pause(core.engine, lane, "ada")
    assert ends(core) == 0


def test_what_comes_during_a_pause_may_be_skipped_as_seen_by_a_person(core: Core) -> None:
    core.on("status")
    core.ingest(text_body("before"))
    lane = lane_of(core)
    assert pauses.pause(core.engine, lane, "ada", 3600, "a complaint", skips=True)
    core.ingest(text_body("during", "during too", at=f.NOW + 1))
    core.ingest(f.body(f.statuses(f.status("read", number="s", timestamp=str(f.NOW + 2)))))
    core.run()
    assert ends(core) == 1
    core.ingest(text_body("after", at=f.NOW + 3))
    core.run()
    assert core.seen == ["before", "read", "after"]
    assert core.event("during").state == "skipped"
    assert seen_by_a_person(core, "during") == [("ada", "seen by a person: a complaint")]


def test_a_person_who_resumes_early_has_them_skipped_too(core: Core) -> None:
    core.ingest(text_body("before"))
    lane = lane_of(core)
    pauses.pause(core.engine, lane, "ada", 3600, skips=True)
    core.ingest(text_body("during", at=f.NOW + 1))
    assert pauses.resume(core.engine, core.redis, lane, "grace")
    core.run()
    assert core.seen == ["before"]


# A handler pauses


def test_a_handler_that_pauses_is_the_last_to_run_and_only_if_it_commits(core: Core) -> None:
    def hand_over(event: Event, ctx: Context) -> None:
        core.seen.append(event.text or "")
        if event.text == "person":
            ctx.pause(for_=hours(8), why="asked for one")
            if ctx.attempt == 1:
                raise ValueError

    core.registry.handlers.clear()
    core.on("message", "text", hand_over)
    core.ingest(text_body("person", "hello?"))
    core.run()
    with core.engine.connect() as connection:
        assert pauses.paused(connection) == []
    core.make_due()
    core.advance(lane_of(core))
    assert core.seen == ["person", "person"]
    with core.engine.connect() as connection:
        (shown,) = pauses.paused(connection)
    assert (shown.paused_by, shown.paused_why) == ("tests.message_text", "asked for one")
    assert ends(core) == 1
    core.run()
    assert core.seen == ["person", "person", "hello?"]


def test_a_handler_may_pause_another_lane_of_its_conversation(core: Core) -> None:
    core.on("message", None, lambda _event, ctx: ctx.pause(lane="main"), lane="crm")
    core.ingest(text_body("first"))
    core.run()
    core.ingest(text_body("second", at=f.NOW + 1))
    core.run()
    assert core.seen == ["first"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"for_": -1}, "for_ must be a positive number"),
        ({"for_": 1e9}, "a year"),
        ({"meanwhile": "drop"}, "'keep' or 'skip'"),
        ({"lane": "Main!"}, "lane must be a name"),
        ({"lane": "crn"}, "no handler has run in a lane named 'crn'"),
    ],
)
def test_a_pause_that_is_none_is_a_dead_letter_that_says_why(
    core: Core, wanted: dict[str, Any], words: str
) -> None:
    core.registry.handlers.clear()
    core.on("message", None, lambda _event, ctx: ctx.pause(**wanted))
    core.ingest(text_body("one"))
    core.run()
    assert core.event("one").state == "dead"
    assert words in core.event("one").error


# Somebody answers from the phone


@pytest.fixture
def silenced(core: Core, monkeypatch: pytest.MonkeyPatch) -> Core:
    """A core in which an echo pauses the bot for 12 hours."""
    monkeypatch.setenv("PAUSE_ON_ECHO", "12h")
    settings.cache_clear()
    for field in handover.FIELDS:
        core.on("other", field, handover.pause_on_echo, lane=handover.LANE)
    return core


def echo(id_: str = "echo", ago: float = 0) -> f.Json:
    sent = {"id": f.wamid(id_), "from": f.OWN_PHONE, "to": f.phone(1), "type": "text", "text": {"body": "hi"}}
    return f.body(f.echoes({**sent, "timestamp": str(int(time.time() - ago))}))


def test_an_answer_from_the_phone_pauses_the_bot_and_no_other_lane(silenced: Core) -> None:
    copied: list[str] = []
    silenced.on("message", None, lambda event, _ctx: copied.append(event.text or ""), lane="crm")
    silenced.ingest(text_body("first"))
    silenced.run()
    silenced.ingest(echo())
    silenced.run()
    silenced.ingest(text_body("second", at=f.NOW + 1))
    silenced.run()
    assert (silenced.seen, copied) == (["first"], ["first", "second"])
    with silenced.engine.connect() as connection:
        (shown,) = pauses.paused(connection)
    assert (shown.lane_name, shown.paused_why) == ("main", handover.WHY)


def test_an_echo_that_comes_days_later_pauses_nothing(silenced: Core) -> None:
    silenced.ingest(echo(ago=13 * 3600))
    silenced.run()
    with silenced.engine.connect() as connection:
        assert pauses.paused(connection) == []


def test_an_echo_of_our_own_reply_is_no_persons_and_one_that_may_be_waits(silenced: Core) -> None:
    silenced.registry.handlers.pop(("message", None, "main"))
    silenced.on("message", None, lambda _event, ctx: ctx.reply("hi"))
    silenced.ingest(text_body("first"))
    silenced.run()
    silenced.execute("UPDATE sends SET state = 'sending'")
    silenced.ingest(echo())
    silenced.run()
    assert silenced.states() == {"done": 1, "pending": 1}
    silenced.execute("UPDATE sends SET state = 'accepted', message_id = :id", id=f.wamid("echo"))
    silenced.make_due()
    silenced.advance(silenced.value("SELECT lane FROM jobs"))
    assert silenced.states() == {"done": 2}
    with silenced.engine.connect() as connection:
        assert pauses.paused(connection) == []
