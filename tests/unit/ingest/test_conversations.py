"""Which names belong together, and what has to change when they come together."""

from itertools import count, permutations

from hypothesis import given
from hypothesis import strategies as st

from app.ingest.conversations import MergePlan, connected_groups, plan_merges

NAMES = ("user", "user 2", "phone", "phone 2", "group")
groups_of_names = st.lists(st.lists(st.sampled_from(NAMES), min_size=1, unique=True).map(tuple), max_size=6)


def decided(groups: list[tuple[str, ...]], known: dict[str, int]) -> MergePlan:
    return plan_merges(connected_groups(groups), known, iter(count(100)))


def test_groups_that_share_a_name_are_one_part() -> None:
    assert connected_groups([("user", "phone"), ("phone", "phone 2"), ("group",)]) == [
        [("user", "phone"), ("phone", "phone 2")],
        [("group",)],
    ]


@given(groups_of_names)
def test_every_name_is_in_one_part_only(groups: list[tuple[str, ...]]) -> None:
    parts = [{name for group in part for name in group} for part in connected_groups(groups)]
    assert sum(len(part) for part in parts) == len(set().union(*parts))


@given(groups_of_names)
def test_parts_do_not_depend_on_the_order_of_the_groups(groups: list[tuple[str, ...]]) -> None:
    def shape(given: list[tuple[str, ...]]) -> set[frozenset[tuple[str, ...]]]:
        return {frozenset(part) for part in connected_groups(given)}

    assert shape(groups) == shape(groups[::-1])


def test_unknown_names_get_a_new_conversation_that_is_shown_by_the_strongest() -> None:
    made = decided([("user", "phone")], {})
    assert made.lanes == {("user", "phone"): 100}
    assert made.new_conversations == {100: "user"}
    assert made.new_names == {"user": 100, "phone": 100}


def test_a_new_name_joins_the_conversation_of_a_known_one() -> None:
    made = decided([("user", "phone")], {"phone": 7})
    assert (made.lanes, made.new_names) == ({("user", "phone"): 7}, {"user": 7})
    assert (made.new_conversations, made.moved_names) == ({}, {})


def test_the_conversation_of_the_strongest_known_name_wins() -> None:
    made = decided([("user", "phone")], {"user": 7, "phone": 8})
    assert made.lanes == {("user", "phone"): 7}
    assert made.moved_names == {"phone": (8, 7)}


def test_names_that_stand_for_one_conversation_already_change_nothing() -> None:
    made = decided([("user", "phone"), ("phone",)], {"user": 7, "phone": 7})
    assert (made.new_names, made.moved_names, made.new_conversations) == ({}, {}, {})


@given(groups_of_names, st.dictionaries(st.sampled_from(NAMES), st.integers(1, 3)))
def test_groups_of_one_part_get_one_lane(groups: list[tuple[str, ...]], known: dict[str, int]) -> None:
    made = decided(groups, known)
    assert set(made.lanes) == set(groups)
    for part in connected_groups(groups):
        assert len({made.lanes[group] for group in part}) == 1


def test_the_order_of_the_groups_decides_nothing() -> None:
    groups = [("user", "phone"), ("user 2", "phone"), ("phone 2", "user 2")]
    known = {"phone": 8, "user 2": 7}
    assert {decided(list(order), known).lanes["user", "phone"] for order in permutations(groups)} == {7}
