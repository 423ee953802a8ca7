"""In which order the processes of a test run get its tests. Pure: no I/O.

Each process begins with its share of the order, and one that is done takes from the end of another's
(``--dist worksteal``). So each share begins with long tests, which the others would wait for at the end. Tests that
start something together stay together: the files of long tests, and those on the shared pipeline.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def shares(
    shared: Sequence[Item], long: Sequence[Sequence[Item]], rest: Sequence[Item], processes: int
) -> list[Item]:
    """All of them, for two or more processes: the last begins with ``shared``, the others with files of ``long``."""
    begin: list[list[Item]] = [[] for _ in range(processes - 1)]
    for number, file in enumerate(long):
        begin[number % len(begin)] += file
    begin.append(list(shared))
    unsent = sum(map(len, begin)) + len(rest)
    others = iter(rest)
    ordered: list[Item] = []
    for number, first in enumerate(begin):
        size = unsent // (processes - number)
        unsent -= size
        ordered += [*first, *islice(others, max(size - len(first), 0))]
    return [*ordered, *others]
