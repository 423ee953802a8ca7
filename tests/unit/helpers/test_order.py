"""Which tests each process of a test run begins with."""

from itertools import accumulate, pairwise

import pytest

from tests.helpers.order import shares

SHARED = [f"shared {number}" for number in range(8)]
LONG = [[f"long {file} a", f"long {file} b"] for file in range(4)]
REST = [f"short {number}" for number in range(85)]
EVERYTHING = [*SHARED, *(test for file in LONG for test in file), *REST]


def share_of_each(ordered: list[str], processes: int) -> list[list[str]]:
    """As ``--dist worksteal`` cuts them."""
    left = len(ordered)
    sizes = []
    for number in range(processes):
        sizes.append(left // (processes - number))
        left -= sizes[-1]
    return [ordered[start:end] for start, end in pairwise([0, *accumulate(sizes)])]


@pytest.mark.parametrize("processes", [2, 3, 4, 8])
def test_no_test_is_left_out_or_run_twice(processes: int) -> None:
    assert sorted(shares(SHARED, LONG, REST, processes)) == sorted(EVERYTHING)


def test_each_process_begins_with_long_tests_and_one_has_the_shared_pipeline() -> None:
    ordered = share_of_each(shares(SHARED, LONG, REST, 4), 4)
    assert [share[:2] for share in ordered[:3]] == LONG[:3]
    assert ordered[0][2:4] == LONG[3]
    assert ordered[3][:8] == SHARED
    assert all(share[-1].startswith("short") for share in ordered)


def test_a_few_tests_are_all_run() -> None:
    assert sorted(shares(SHARED, LONG, [], 4)) == sorted(EVERYTHING[: -len(REST)])
