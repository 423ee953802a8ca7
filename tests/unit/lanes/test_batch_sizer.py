"""How many events a worker takes at a time."""

import pytest

from app.lanes.batch_sizer import AT_ONCE_SECONDS, MAX_EVENTS, REMEMBERED, BatchSizer


def paced(*seconds: float) -> BatchSizer:
    sizer = BatchSizer()
    for each in seconds:
        sizer.record(each)
    return sizer


def test_a_worker_that_has_run_nothing_takes_one() -> None:
    assert paced().size == 1


@pytest.mark.parametrize("known", [1, 2, REMEMBERED - 1])
def test_a_worker_takes_no_more_than_it_knows_of(known: int) -> None:
    assert paced(*[0.001] * known).size == known


def test_quick_handlers_take_many() -> None:
    assert paced(*[0.0] * REMEMBERED).size == MAX_EVENTS


@pytest.mark.parametrize("slow", [AT_ONCE_SECONDS / 4, AT_ONCE_SECONDS / 2, AT_ONCE_SECONDS, 30.0])
def test_where_all_are_slow_they_are_taken_by_their_time(slow: float) -> None:
    assert paced(*[slow] * REMEMBERED).size == max(1, AT_ONCE_SECONDS // slow)


def test_a_moment_in_which_the_machine_stood_still_hardly_counts() -> None:
    assert paced(*[0.001] * (REMEMBERED - 1), AT_ONCE_SECONDS).size > MAX_EVENTS / 2


def test_one_event_of_many_seconds_is_enough_to_take_single_ones_until_it_is_forgotten() -> None:
    quick = [0.001] * (REMEMBERED - 1)
    assert paced(30.0, *quick).size == 1
    assert paced(30.0, *quick, 0.001).size == MAX_EVENTS
