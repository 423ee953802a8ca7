"""How many events a worker takes at a time."""

import pytest

from app.pace import AT_ONCE_SECONDS, MOST, REMEMBERED, Pace


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
def test_the_slowest_of_the_last_events_decides(slow: float) -> None:
    quick = [0.001] * (REMEMBERED - 1)
    assert paced(slow, *quick).events == max(1, AT_ONCE_SECONDS // slow)
    assert paced(slow, *quick, 0.001).events == MOST
