"""Which names stand for one conversation, and what has to change when they come together."""

from collections.abc import Iterable
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from app.ingest.merge_plan import MergePlan, NameGroup, plan_merges

USER, USER_2, PHONE, PHONE_2 = "1/US.1", "1/US.2", "1/1555", "1/1666"
NAMES = (USER, USER_2, PHONE, PHONE_2)
groups_of_names = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple), max_size=8)


def planned(
    groups: list[tuple[str, ...]], known: dict[str, int], identified: Iterable[int] = ()
) -> MergePlan:
    plan = plan_merges([NameGroup(group) for group in groups], known, identified)
    new = count(100)
    plan.number([next(new) for _ in plan.new_conversations])
    return plan


def test_unknown_names_get_a_new_conversation_that_is_shown_by_the_strongest() -> None:
    plan = planned([(USER, PHONE)], {})
    assert (plan.lanes, plan.new_conversations) == ([100], {100: USER})
    assert plan.new_names == {USER: 100, PHONE: 100}


def test_a_new_name_joins_the_conversation_of_a_known_one() -> None:
    plan = planned([(USER, PHONE)], {PHONE: 7})
    assert (plan.lanes, plan.new_names) == ([7], {USER: 7})
    assert (plan.new_conversations, plan.moved_names) == ({}, {})


def test_the_conversation_of_the_strongest_known_name_wins() -> None:
    plan = planned([(USER, PHONE)], {USER: 7, PHONE: 8})
    assert (plan.lanes, plan.moved_names) == ([7], {PHONE: (8, 7)})


def test_names_that_stand_for_one_conversation_already_change_nothing() -> None:
    plan = planned([(USER, PHONE), (PHONE,)], {USER: 7, PHONE: 7})
    assert (plan.new_names, plan.moved_names, plan.new_conversations) == ({}, {}, {})


def test_names_that_are_linked_later_in_a_transaction_are_one_conversation() -> None:
    plan = planned([(PHONE,), (USER,), (USER, PHONE)], {})
    assert (plan.lanes, plan.new_conversations) == ([100] * 3, {100: USER})


def test_a_phone_number_goes_along_with_its_new_owner() -> None:
    plan = planned([(USER, PHONE), (PHONE,)], {PHONE: 7}, {7})
    assert plan.lanes == [100, 100]
    assert plan.moved_names == {PHONE: (7, 100)}


def test_a_change_notice_continues_the_conversation() -> None:
    plan = plan_merges([NameGroup((USER, PHONE), change_notice=True)], {PHONE: 7}, {7})
    assert (plan.lanes, plan.moved_names) == ([7], {})


@given(groups_of_names, st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)))
def test_every_name_and_group_stands_for_a_conversation_that_is_there(
    groups: list[tuple[str, ...]], known: dict[str, int]
) -> None:
    plan = planned(groups, known)
    there = set(known.values()) | set(plan.new_conversations)
    assert set(plan.lanes) | set(plan.new_names.values()) <= there
    assert set(plan.new_names) == {name for group in groups for name in group} - set(known)
    assert set(plan.new_conversations) <= {winner for _, winner in plan.moved_names.values()} | set(
        plan.new_names.values()
    )
