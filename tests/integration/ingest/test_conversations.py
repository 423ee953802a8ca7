"""A conversation stays one, whatever name its user goes by today."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection

from app import dead_letters
from app.handlers import Context, Event
from app.ingest import conversations
from app.ingest import split as ingest_module
from app.ingest.merge_plan import NameGroup
from app.ingest.rows import Ingested, NewEvent
from app.lanes.outcome import Outcome
from app.payload.parse import parse
from app.stores.migrate import alembic_config, migrate
from app.stores.models import EventState
from app.stores.prepared import Prepared
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body
from tests.helpers.rows import add_events

pytestmark = pytest.mark.core(messages="noted")

PHONE_ONLY: dict[str, Any] = {"from_user_id": None}
USER_ONLY: dict[str, Any] = {"from": None}
POLL_SECONDS = 0.005
MANY_EVENTS = 3000


def lanes_of(core: Core, *texts: str) -> list[int]:
    return [core.event(words).lane for words in texts]


def one(lanes: list[int]) -> bool:
    return len(set(lanes)) == 1


# Names


def test_a_user_with_both_names_has_one_conversation_shown_by_the_user_id(core: Core) -> None:
    core.ingest(text_body("a"))
    core.ingest(text_body("b", **PHONE_ONLY), text_body("c", **USER_ONLY))
    assert one(lanes_of(core, "a", "b", "c"))
    assert core.value("SELECT key FROM conversations") == f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"


def test_a_conversation_known_by_phone_stays_one_when_the_phone_disappears(core: Core) -> None:
    core.ingest(text_body("phone", **PHONE_ONLY))
    core.ingest(text_body("both"))
    core.ingest(text_body("user", **USER_ONLY))
    assert one(lanes_of(core, "phone", "both", "user"))
    assert core.value("SELECT count(*) FROM conversations") == 1


def test_the_same_holds_within_one_delivery(core: Core) -> None:
    core.ingest(text_body("phone", **PHONE_ONLY), text_body("user", **USER_ONLY), text_body("both"))
    assert one(lanes_of(core, "phone", "both", "user"))
    assert core.value("SELECT count(*) FROM conversations") == 1


def test_users_of_two_numbers_of_the_business_are_apart(core: Core) -> None:
    core.ingest(text_body("here"))
    core.ingest(f.body(f.messages(f.text_message("there", number="there"), phone_number_id="999")))
    assert not one(lanes_of(core, "here", "there"))


def test_a_new_user_id_goes_on_in_the_conversation_of_the_previous_one(core: Core) -> None:
    core.on("other")
    core.ingest(text_body("old", **USER_ONLY))
    core.ingest(
        f.body(
            f.messages(
                f.system_message(
                    "user_changed_user_id",
                    sender_id=f.user_id(1),
                    user_id=f.user_id(2),
                    previous_user_id=f.user_id(1),
                )
            )
        )
    )
    core.ingest(text_body("new", sender=2, **USER_ONLY))
    assert one(lanes_of(core, "old", "new"))


def test_a_group_is_one_conversation_whoever_writes(core: Core) -> None:
    core.ingest(
        text_body("a", group_id=f.GROUP), text_body("b", sender=2, group_id=f.GROUP), text_body("alone")
    )
    assert one(lanes_of(core, "a", "b"))
    assert not one(lanes_of(core, "a", "alone"))


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
    add_events(core.engine, MANY_EVENTS, state=EventState.DONE)
    core.execute("ANALYZE events")
    statement = str(conversations.MOVE_EVENTS).replace(":winner", "1").replace(":loser", "2")
    plan = "\n".join(row[0] for row in core.rows(f"EXPLAIN {statement}"))
    assert "Seq Scan" not in plan


# A phone number that changed hands


@pytest.mark.parametrize("together", [True, False], ids=["in one transaction", "later"])
def test_a_phone_number_that_comes_with_another_user_id_begins_a_new_conversation(
    core: Core, together: bool
) -> None:
    first = text_body("first")
    second = text_body("second", sender=2, **{"from": f.phone(1)})
    if together:
        core.ingest(first, second)
    else:
        core.ingest(first)
        core.ingest(second)
    core.ingest(text_body("of the first", **USER_ONLY), text_body("of the number", **PHONE_ONLY))
    assert one(lanes_of(core, "first", "of the first"))
    assert one(lanes_of(core, "second", "of the number"))
    assert not one(lanes_of(core, "first", "second"))


def test_a_user_id_joins_the_conversation_of_a_phone_number_that_had_none(core: Core) -> None:
    core.ingest(text_body("phone", **PHONE_ONLY))
    core.ingest(text_body("both"))
    assert one(lanes_of(core, "phone", "both"))


def test_a_change_notice_that_names_no_earlier_user_id_continues_the_conversation(core: Core) -> None:
    core.ingest(text_body("before"))
    notice = f.system_message("user_changed_user_id", sender=f.phone(1), user_id=f.user_id(2))
    core.ingest(f.body(f.messages(notice)))
    core.ingest(text_body("after", sender=2, **USER_ONLY))
    assert one(lanes_of(core, "before", "after"))


def test_many_users_of_one_phone_number_cost_a_body_no_more_than_as_many_others(core: Core) -> None:
    """Statements are counted, as they do not depend on the machine."""
    items = [f.text_message(number=nth, sender=nth) | {"from": f.phone(1)} for nth in range(MANY_EVENTS)]
    statements: list[str] = []
    with core.engine.connect() as connection:
        groups = [NameGroup(event.aliases) for event in parse(f.wire(f.body(f.messages(*items)))).events]
        with counting(statements):
            lanes = conversations.resolve(connection, groups)
    assert len(set(lanes)) == MANY_EVENTS
    assert len(statements) < 10


@contextmanager
def counting(statements: list[str]) -> Iterator[None]:
    rows = Prepared.rows

    def count(prepared: Prepared, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        statements.append(statement)
        return rows(prepared, statement, *parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Prepared, "rows", count)
        yield


# Names that a body tells beside its events


def test_a_contact_who_is_not_the_sender_links_his_names(core: Core) -> None:
    other = f.contact(2)
    core.ingest(f.body(f.messages(f.text_message(), contacts=[f.contact(1), other])))
    core.ingest(text_body("user", sender=2, **USER_ONLY), text_body("phone", sender=2, **PHONE_ONLY))
    assert one(lanes_of(core, "user", "phone"))


def test_who_writes_in_a_group_links_his_names_and_the_group_stays_its_own(core: Core) -> None:
    core.ingest(text_body("group", sender=2, group_id=f.GROUP))
    core.ingest(text_body("user", sender=2, **USER_ONLY), text_body("phone", sender=2, **PHONE_ONLY))
    assert one(lanes_of(core, "user", "phone"))
    assert not one(lanes_of(core, "group", "user"))


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


def test_chains_of_earlier_releases_are_flattened(core: Core) -> None:
    first = make_chain(core)
    with core.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        command.downgrade(alembic_config(connection), "0004")
        migrate()
    core.advance(first)
    assert sorted(core.seen) == ["a", "b", "c"]


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


def wait_until_blocked(core: Core) -> None:
    """Until some connection waits for another's lock."""
    pause = threading.Event()
    for _ in range(int(WAIT_SECONDS / POLL_SECONDS)):
        if core.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
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

    def insert_later(connection: Connection, rows: Sequence[NewEvent]) -> None:
        if rows[0].event.payload.find('"one"') > 0:
            resolved.set()
            assert go_on.wait(WAIT_SECONDS)
        insert(connection, rows)

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
