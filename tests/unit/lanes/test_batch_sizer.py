"""How many events a worker takes at a time."""

import pytest

from app.lanes.batch_sizer import AT_ONCE_SECONDS, MOST, REMEMBERED, Pace


def paced(*seconds: float) -> Pace:
    pace = Pace()
    for each in seconds:
        pace.note(each)
    return pace


def test_a_worker_that_has_run_nothing_takes_one() -> None:
    assert paced().events == 1


@pytest.mark.parametrize("known", [1, 2, REMEMBERED - 1])
def test_a_worker_takes_no_more_than_it_knows_of(known: int) -> None:
    assert paced(*[0.001] * known).events == known


def test_quick_handlers_take_many() -> None:
    assert paced(*[0.0] * REMEMBERED).events == MOST


@pytest.mark.parametrize("slow", [AT_ONCE_SECONDS / 4, AT_ONCE_SECONDS / 2, AT_ONCE_SECONDS, 30.0])
def test_where_all_are_slow_they_are_taken_by_their_time(slow: float) -> None:
    assert paced(*[slow] * REMEMBERED).events == max(1, AT_ONCE_SECONDS // slow)


def test_a_moment_in_which_the_machine_stood_still_hardly_counts() -> None:
    assert paced(*[0.001] * (REMEMBERED - 1), AT_ONCE_SECONDS).events > MOST / 2


def test_one_event_of_many_seconds_is_enough_to_take_single_ones_until_it_is_forgotten() -> None:
    quick = [0.001] * (REMEMBERED - 1)
    assert paced(30.0, *quick).events == 1
    assert paced(30.0, *quick, 0.001).events == MOST
