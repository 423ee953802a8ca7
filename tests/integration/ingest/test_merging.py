"""Conversations that turn out to be one are merged, also by two ingests at the same moment."""

import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import Connection

from app import dead_letters
from app.handlers import Context, Event
from app.ingest import conversations
from app.ingest import store as ingest_module
from app.ingest.merge_plan import NameGroup
from app.ingest.rows import Ingested, NewEvent
from app.lanes.outcome import Outcome
from app.stores.models import JobState
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body
from tests.helpers.rows import add_events
from tests.integration.ingest.conversations import MANY_EVENTS, PHONE_ONLY, USER_ONLY, lanes_of, one

pytestmark = pytest.mark.core(messages="noted")

POLL_SECONDS = 0.005


# Merging


def ingest_two_then_link(core: Core) -> None:
    """Two conversations with events waiting, and the delivery that tells that they are one."""
    core.ingest(text_body("first", at=f.NOW, **USER_ONLY), text_body("third", at=f.NOW + 2, **USER_ONLY))
    core.ingest(text_body("second", at=f.NOW + 1, **PHONE_ONLY))
    core.ingest(text_body("fourth", at=f.NOW + 3))


def test_two_conversations_that_turn_out_to_be_one_are_merged_in_order(core: Core) -> None:
    ingest_two_then_link(core)
    assert one(lanes_of(core, "first", "second", "third", "fourth"))
    core.run()
    assert core.seen == ["first", "second", "third", "fourth"]


def test_a_wake_of_the_merged_lane_goes_on_in_the_other(core: Core) -> None:
    core.ingest(text_body("phone", **PHONE_ONLY))
    (loser,) = core.wakes_in_queue()
    core.ingest(text_body("user", **USER_ONLY))
    core.ingest(text_body("both"))
    core.redis.flushall()
    core.advance(loser)
    assert sorted(core.seen) == ["both", "phone", "user"]


def test_a_dead_letter_of_the_merged_lane_is_retried_in_the_other(core: Core) -> None:
    core.registry.handlers.clear()
    core.on("message", None, core.failing("phone"), max_attempts=1)
    core.ingest(text_body("phone", at=f.NOW, **PHONE_ONLY))
    core.run()
    core.ingest(text_body("user", at=f.NOW + 1, **USER_ONLY))
    core.ingest(text_body("both", at=f.NOW + 2))
    core.broken.clear()
    dead_letters.retry(core.engine, core.redis, core.registry, [core.event("phone").id], "ada")
    core.run()
    assert core.seen == ["phone", "user", "both"]


def test_an_attempt_in_the_merged_lane_does_not_overlap_with_the_other(core: Core) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def pause(event: Event, ctx: Context) -> None:
        if event.text == "phone":
            reached.set()
            assert go_on.wait(WAIT_SECONDS)
        core.note(event, ctx)

    core.registry.handlers.clear()
    core.on("message", None, pause)
    core.ingest(text_body("phone", at=f.NOW + 5, **PHONE_ONLY))
    (loser,) = core.wakes_in_queue()
    with ThreadPoolExecutor() as threads:
        running = threads.submit(core.lanes().step, loser)
        try:
            assert reached.wait(WAIT_SECONDS)
            core.ingest(text_body("user", at=f.NOW, **USER_ONLY))
            core.ingest(text_body("both", at=f.NOW + 1))
            (winner,) = set(lanes_of(core, "user"))
            assert core.step(winner).outcome is Outcome.CLAIMED_ELSEWHERE
        finally:
            go_on.set()
        assert running.result(WAIT_SECONDS).outcome is Outcome.DONE
    core.advance(winner)
    assert core.seen == ["phone", "user", "both"]
    assert core.event("user").late


def test_lateness_outlives_the_merge(core: Core) -> None:
    core.ingest(text_body("later", at=f.NOW, **PHONE_ONLY))
    core.ingest(text_body("other", at=f.NOW - 9, **USER_ONLY))
    core.run()
    core.ingest(text_body("between", at=f.NOW - 5))
    core.run()
    assert core.event("between").late


def test_merging_does_not_read_through_all_events_ever(core: Core) -> None:
    add_events(core.engine, MANY_EVENTS, state=JobState.DONE)
    core.execute("ANALYZE events")
    statement = str(conversations.MOVE_EVENTS).replace(":winner", "1").replace(":loser", "2")
    plan = "\n".join(row[0] for row in core.rows(f"EXPLAIN {statement}"))
    assert "Seq Scan" not in plan


# At the same moment


def test_merges_that_overlap_leave_no_chain(core: Core) -> None:
    """A → B and B → C at once: whoever comes second reads again."""
    for words, names in (("a", PHONE_ONLY), ("b", USER_ONLY)):
        core.ingest(text_body(words, **names))
    core.ingest(text_body("c", sender=3, **USER_ONLY))
    a, b, c = (f"{f.PHONE_NUMBER_ID}/{name}" for name in (f.phone(1), f.user_id(1), f.user_id(3)))
    with ThreadPoolExecutor() as threads:
        with core.engine.begin() as connection:
            conversations.resolve(connection, [NameGroup((b, a))])
            second = threads.submit(_resolve_notice, core, (c, b, a))
            wait_until_blocked(core)
        second.result(WAIT_SECONDS)
    chained = """SELECT count(*) FROM conversations one JOIN conversations other ON one.merged_into = other.id
        WHERE other.merged_into IS NOT NULL"""
    assert core.value(chained) == 0
    core.redis.flushall()
    core.advance(core.event("c").lane)
    assert sorted(core.seen) == ["a", "b", "c"]


def make_chain(core: Core) -> int:
    """What overlapping merges left in earlier releases: an event in the first lane of a chain; that lane."""
    core.ingest(text_body("a"), text_body("b", sender=2), text_body("c", sender=3))
    first, second, third = lanes_of(core, "a", "b", "c")
    merge = "UPDATE conversations SET merged_into = :into WHERE id = :lane"
    core.execute(merge, lane=first, into=second)
    core.execute(merge, lane=second, into=third)
    return first


def test_a_lane_whose_event_is_refused_again_and_again_is_left_to_the_sweep(core: Core) -> None:
    step = core.advance(make_chain(core))
    assert not step.has_more


def test_two_names_of_one_conversation_that_move_at_once_leave_none_without_a_name(core: Core) -> None:
    core.ingest(text_body("lost", **PHONE_ONLY))
    other_phone = f"{f.PHONE_NUMBER_ID}/{f.phone(9)}"
    core.execute(
        "INSERT INTO conversation_aliases SELECT :key, conversation_id FROM conversation_aliases",
        key=other_phone,
    )
    core.ingest(text_body("b", sender=2, **USER_ONLY), text_body("c", sender=3, **USER_ONLY))
    with ThreadPoolExecutor() as threads:
        with core.engine.begin() as connection:
            names = (f"{f.PHONE_NUMBER_ID}/{f.user_id(2)}", f"{f.PHONE_NUMBER_ID}/{f.phone(1)}")
            conversations.resolve(connection, [NameGroup(names)])
            second = threads.submit(_resolve, core, (f"{f.PHONE_NUMBER_ID}/{f.user_id(3)}", other_phone))
            wait_until_blocked(core)
        second.result(WAIT_SECONDS)
    assert core.event("lost").lane == core.event("c").lane


def _resolve_notice(core: Core, names: tuple[str, ...]) -> int:
    with core.engine.begin() as connection:
        return conversations.resolve(connection, [NameGroup(names, change_notice=True)])[0]


def ingested_behind_another(core: Core, name: str) -> int:
    """The conversation of a user whose ``name`` another ingest creates while ours, which has both, is at it."""
    phone, user = f"{f.PHONE_NUMBER_ID}/{f.phone(1)}", f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"
    with ThreadPoolExecutor() as threads:
        with core.engine.begin() as first:
            conversations.resolve(first, [NameGroup(({"phone": phone, "user": user}[name],))])
            second = threads.submit(_resolve, core, (user, phone))
            wait_until_blocked(core)
        return second.result(WAIT_SECONDS)


def test_two_ingests_that_meet_a_user_by_different_names_make_one_whole_conversation(core: Core) -> None:
    lane = ingested_behind_another(core, "phone")
    core.ingest(text_body("a"))
    assert core.event("a").lane == lane
    assert core.value("SELECT count(*) FROM conversations WHERE id = :lane", lane=lane) == 1


def test_an_ingest_that_was_overtaken_leaves_no_conversation_behind_that_nobody_has(core: Core) -> None:
    lane = ingested_behind_another(core, "user")
    assert core.value("SELECT id FROM conversations") == lane
    assert core.value("SELECT count(*) FROM conversations") == 1
    core.ingest(text_body("a", **PHONE_ONLY), text_body("b", **USER_ONLY))
    assert lanes_of(core, "a", "b") == [lane, lane]


def _resolve(core: Core, names: tuple[str, ...]) -> int:
    with core.engine.begin() as connection:
        return conversations.resolve(connection, [NameGroup(names)])[0]


def wait_until_blocked(core: Core, connections: int = 1) -> None:
    """Until so many connections wait for another's lock."""
    pause = threading.Event()
    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        if core.value("SELECT count(*) FROM pg_locks WHERE NOT granted") >= connections:
            return
        pause.wait(POLL_SECONDS)
    raise AssertionError("nobody waits")


def test_an_event_that_is_stored_while_its_conversation_is_merged_keeps_its_place(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.ingest(text_body("zero", at=f.NOW, **PHONE_ONLY))
    core.ingest(text_body("two", at=f.NOW + 2, **USER_ONLY))
    resolved, go_on = threading.Event(), threading.Event()
    insert = ingest_module.insert_events

    def insert_later(connection: Connection, rows: Sequence[NewEvent], name_ids: Mapping[str, int]) -> None:
        if rows[0].event.payload.find('"one"') > 0:
            resolved.set()
            assert go_on.wait(WAIT_SECONDS)
        insert(connection, rows, name_ids)

    monkeypatch.setattr(ingest_module, "insert_events", insert_later)
    with ThreadPoolExecutor() as threads:
        storing = threads.submit(core.ingest, text_body("one", at=f.NOW + 1, **PHONE_ONLY))
        assert resolved.wait(WAIT_SECONDS)
        merging = threads.submit(core.ingest, text_body("three", at=f.NOW + 3))
        merged_or_waiting(core, merging)
        go_on.set()
        storing.result(WAIT_SECONDS)
        merging.result(WAIT_SECONDS)
    core.redis.flushall()
    core.advance(core.event("three").lane)
    assert core.seen == ["zero", "one", "two", "three"]


def merged_or_waiting(core: Core, merging: "Future[Ingested]") -> None:
    pause = threading.Event()
    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        if merging.done() or core.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            return
        pause.wait(POLL_SECONDS)
    raise AssertionError("neither merged nor waiting")
