"""Several handlers of one event: each lane name has its own order, attempts, dead letters and pause."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from app import dead_letters
from app.handlers import Context, Event, Handler
from app.handlers.retry import RetryPolicy
from app.lanes import pauses
from app.lanes.outcome import Outcome
from app.views import timeline
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body, write_note

pytestmark = pytest.mark.core(messages="failing")

PHONE_ONLY, USER_ONLY = {"from_user_id": None}, {"from": None}


@pytest.fixture
def copied(core: Core) -> list[str]:
    """What the handler of the lane ``crm`` ran; the one of ``main`` notes what it ran in ``core.seen``."""
    words: list[str] = []

    def copy(event: Event, _ctx: Context) -> None:
        if event.text in core.broken:
            raise ValueError("the CRM is away")
        words.append(event.text or event.type)

    core.on("message", function=copy, lane="crm", max_attempts=1)
    return words


def jobs(core: Core, words: str) -> dict[str, str]:
    """The state of each job of a message, by the name of its lane."""
    rows = core.rows(
        "SELECT n.name, j.state FROM event_jobs j JOIN lane_names n ON n.id = j.lane_name_id WHERE j.key = :key",
        key=f"message:{f.wamid(words)}",
    )
    return {row.name: row.state for row in rows}


def test_each_handler_runs_every_event_once_and_in_order(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("one", "two"), text_body("three", at=f.NOW + 1))
    core.run()
    assert core.seen == copied == ["one", "two", "three"]
    assert jobs(core, "one") == {"main": "done", "crm": "done"}


def test_a_repeat_makes_no_further_jobs(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("one"))
    core.ingest(text_body("one"))
    core.run()
    assert core.seen == copied == ["one"]


def test_a_lane_that_fails_holds_no_other(core: Core, copied: list[str]) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("one"))
    core.on("message", function=lambda event, _ctx: copied.append(event.text or ""), lane="crm")
    core.ingest(text_body("one", "two"))
    core.run()
    assert (core.seen, copied) == ([], ["one", "two"])
    assert jobs(core, "one") == {"main": "pending", "crm": "done"}
    core.broken.clear()
    core.make_due()
    core.advance(core.value("SELECT lane FROM jobs ORDER BY id LIMIT 1"))
    assert core.seen == ["one", "two"]


def test_what_died_in_one_lane_is_retried_there_alone(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("one", "two"))
    core.broken.add("one")
    core.run()
    assert jobs(core, "one") == {"main": "pending", "crm": "dead"}
    core.broken.clear()
    core.make_due()
    core.advance(core.value("SELECT DISTINCT lane FROM jobs"))
    (dead,) = core.rows("SELECT id, event_id FROM outcomes WHERE state = 'dead'")
    assert dead.id != dead.event_id
    assert core.dead_queue() == [dead.id]
    dead_letters.retry(core.engine, core.redis, core.registry, [dead.id], "ada")
    core.run()
    assert core.seen == ["one", "two"]
    assert copied == ["two", "one"]
    assert core.dead_queue() == []


def test_effects_are_committed_for_each_job(core: Core) -> None:
    core.make_notes()
    core.registry.handlers.clear()
    for lane in ("main", "crm", "archive"):
        core.on("message", function=lambda _event, ctx, name=lane: write_note(ctx, name), lane=lane)
    core.ingest(text_body("one"))
    core.run()
    assert core.notes() == ["archive", "crm", "main"]


def test_lanes_of_every_name_are_merged_with_their_conversations(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("phone", at=f.NOW, **PHONE_ONLY), text_body("user", at=f.NOW + 2, **USER_ONLY))
    core.ingest(text_body("both", at=f.NOW + 1))
    core.redis.flushall()
    lanes = [row.lane for row in core.rows("SELECT DISTINCT lane FROM jobs")]
    assert len(lanes) == 2
    for lane in lanes:
        core.advance(lane)
    assert core.seen == copied == ["phone", "both", "user"]


def test_a_lane_of_a_name_that_only_the_merged_conversation_had_goes_on(core: Core) -> None:
    core.ingest(text_body("user", at=f.NOW, **USER_ONLY))
    copied: list[str] = []
    core.on("message", function=lambda event, _ctx: copied.append(event.text or ""), lane="crm")
    core.ingest(text_body("phone", at=f.NOW + 1, **PHONE_ONLY))
    core.ingest(text_body("both", at=f.NOW + 2))
    core.redis.flushall()
    for row in core.rows("SELECT DISTINCT lane FROM jobs"):
        core.advance(row.lane)
    assert (core.seen, copied) == (["user", "phone", "both"], ["phone", "both"])


def test_an_event_of_no_conversation_has_a_job_for_each_lane_name(core: Core) -> None:
    core.registry.handlers.clear()
    seen: list[str] = []
    for lane in ("main", "crm"):
        core.on("other", function=lambda _event, _ctx, name=lane: seen.append(name), lane=lane)
    core.ingest(f.body(f.account_update()))
    core.run()
    assert sorted(seen) == ["crm", "main"]


def test_only_a_lane_that_is_paused_waits(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("one"))
    core.run()
    conversation = core.value("SELECT id FROM conversations")
    crm = pauses.lane_named(core.engine, conversation, "crm")
    assert pauses.pause(core.engine, crm, "ada")
    core.ingest(text_body("two", at=f.NOW + 1))
    core.run()
    assert (core.seen, copied) == (["one", "two"], ["one"])
    assert core.step(crm).outcome is Outcome.PAUSED
    pauses.resume(core.engine, core.redis, crm, "ada")
    core.run()
    assert copied == ["one", "two"]


def test_a_lane_name_that_nobody_ever_had_cannot_be_paused(core: Core) -> None:
    core.ingest(text_body("one"))
    with pytest.raises(pauses.ConversationError, match="no handler has run in a lane named 'crn'"):
        pauses.lane_named(core.engine, core.value("SELECT id FROM conversations"), "crn")


def test_a_trace_shows_all_jobs_of_an_event(core: Core, copied: list[str]) -> None:
    core.ingest(text_body("one"))
    core.run()
    with core.engine.connect() as connection:
        found = timeline.find_timelines(connection, f.wamid("one"))
        of_second_job = timeline.find_timelines(connection, str(found[1].id))
    assert [(each.lane_name, each.state) for each in found] == [("main", "done"), ("crm", "done")]
    assert of_second_job == found


def test_what_is_older_than_its_handler_allows_ends_as_stale(core: Core) -> None:
    core.registry.handlers.clear()
    core.on("message", max_age_seconds=timedelta(days=1).total_seconds())
    copied: list[str] = []
    core.on("message", function=lambda event, _ctx: copied.append(event.text or ""), lane="archive")
    now = int(core.value("SELECT extract(epoch FROM now())"))
    core.ingest(text_body("old", at=now - 2 * 86_400), text_body("new", at=now))
    core.run()
    assert core.seen == ["new"]
    assert copied == ["old", "new"]
    assert jobs(core, "old") == {"main": "stale", "archive": "done"}


def test_what_has_begun_before_it_was_too_old_is_tried_on(core: Core) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("slow"), max_age_seconds=86_400)
    now = int(core.value("SELECT extract(epoch FROM now())"))
    (lane,) = core.ingest(text_body("slow", at=now)).lanes
    core.run()
    with core.engine.begin() as connection:
        for table in ("jobs", "events"):
            connection.execute(text(f"UPDATE {table} SET occurred_at = occurred_at - interval '2 days'"))
    core.broken.clear()
    core.make_due()
    assert core.step(lane).outcome is Outcome.DONE


def test_handlers_of_two_numbers_share_a_lane_name_and_each_runs_its_own_events(core: Core) -> None:
    core.registry.handlers.clear()
    other = "200300400500601"
    seen: dict[str, list[str | None]] = {f.PHONE_NUMBER_ID: [], other: []}
    for number, texts in seen.items():
        handler = Handler(
            f"tests.bot_{number}",
            lambda event, _ctx, texts=texts: texts.append(event.text),
            RetryPolicy(),
            "hold",
            None,
            scopes=(("number", number),),
        )
        core.registry.add("message", None, handler)
    core.ingest(text_body("mine"))
    core.ingest(f.body(f.change("messages", other, messages=[f.text_message("yours", number=2)])))
    core.ingest(f.body(f.change("messages", "200300400500602", messages=[f.text_message("none", number=3)])))
    core.run()
    assert seen == {f.PHONE_NUMBER_ID: ["mine"], other: ["yours"]}
    assert core.states() == {"done": 2, "unhandled": 1}
