"""A conversation stays one, whatever name its user goes by today."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.ingest import conversations
from app.ingest.merge_plan import NameGroup
from app.payload.parse import parse
from app.stores.prepared import Prepared
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.ingest.conversations import MANY_EVENTS, PHONE_ONLY, USER_ONLY, lanes_of, one

pytestmark = pytest.mark.core(messages="noted")


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
