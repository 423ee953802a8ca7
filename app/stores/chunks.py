"""Cut long lists into parts of one call each. Pure: no I/O."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, ``size`` at a time; the last part may be shorter."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
