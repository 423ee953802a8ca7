"""How urgent a lane is, which its number says: so whoever wakes a lane knows, and nobody has to ask. Pure: no I/O.

Urgent and bulk lanes have numbers beyond those that are counted up. All are below 2^53, which a page's script can read.
"""

from enum import StrEnum

URGENT_FROM = 1_000_000_000_000_000
BULK_FROM = 2_000_000_000_000_000


class Priority(StrEnum):
    URGENT = "urgent"  # before others
    NORMAL = "normal"
    BULK = "bulk"  # where nothing else waits


FIRST_NUMBERS = {Priority.URGENT: URGENT_FROM, Priority.NORMAL: 0, Priority.BULK: BULK_FROM}


def priority_of(lane: int) -> Priority:
    """Return how urgent a lane is."""
    if lane < URGENT_FROM:
        return Priority.NORMAL
    return Priority.URGENT if lane < BULK_FROM else Priority.BULK
