"""Faults begin when they are due, and when nothing that they hit is being hit."""

from typing import Any

from tests.chaos.faults import Faults
from tests.chaos.schedule import Fault

CLUSTER: Any = None  # these faults only wait
LONG_SECONDS = 3600.0


def waiting(at: float, seconds: float) -> Fault:
    return Fault(at, "overlapping_merges", "names", seconds)


def test_a_fault_waits_until_the_one_before_on_the_same_is_over() -> None:
    first, second = waiting(1, 0), waiting(2, LONG_SECONDS)
    third = waiting(3, 0)
    faults = Faults(CLUSTER, [third, first, second], None)
    assert faults.tick(0) == []
    assert faults.tick(4) == [first]  # which is over at once
    assert faults.tick(4) == [second]
    assert faults.tick(5) == []
    assert not faults.over
