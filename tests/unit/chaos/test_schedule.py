"""The faults of a run follow from its seed, are printed, and can be played again."""

import pytest

from tests.chaos import schedule
from tests.chaos.schedule import ScheduleError, chosen, draw, kinds, read, written

KNOWN = kinds(lease_seconds=30)


def test_the_same_seed_draws_the_same_faults() -> None:
    assert draw(7, 900, 10, KNOWN) == draw(7, 900, 10, KNOWN)
    assert draw(7, 900, 10, KNOWN) != draw(8, 900, 10, KNOWN)


@pytest.mark.parametrize("seed", range(5))
def test_a_long_run_has_every_kind_of_fault_and_each_is_over_in_time(seed: int) -> None:
    faults = draw(seed, 900, 10, KNOWN)
    assert {fault.kind for fault in faults} == KNOWN.keys()
    assert all(fault.at + fault.seconds <= 900 for fault in faults)


@pytest.mark.parametrize("seed", range(5))
def test_one_store_is_whole_while_the_other_is_away(seed: int) -> None:
    faults = [fault for fault in draw(seed, 900, 10, KNOWN) if fault.target in schedule.STORES]
    ends = [fault.at + fault.seconds for fault in faults]
    assert all(end < after.at for end, after in zip(ends, faults[1:], strict=False))


def test_a_stopped_worker_is_stopped_for_longer_than_its_lease() -> None:
    faults = draw(7, 900, 10, chosen(KNOWN, ["stop_worker"]))
    assert faults
    assert all(fault.seconds > 30 for fault in faults)


def test_a_printed_schedule_is_read_back() -> None:
    faults = draw(7, 900, 10, KNOWN)
    assert read("# for people\n\n" + written(faults), KNOWN) == faults


@pytest.mark.parametrize(
    "line", ["1.0 kill_web", "soon kill_web web1 0", "1 kill_cat web1 0", "1 kill_web beat 0"]
)
def test_a_line_that_is_no_fault_is_named(line: str) -> None:
    with pytest.raises(ScheduleError, match=line):
        read(line, KNOWN)


def test_an_unknown_fault_is_named() -> None:
    with pytest.raises(ScheduleError, match="kill_cat"):
        chosen(KNOWN, ["kill_cat"])


def test_what_does_not_fit_is_not_drawn() -> None:
    assert draw(7, 20, 5, chosen(KNOWN, ["stop_worker"])) == []
