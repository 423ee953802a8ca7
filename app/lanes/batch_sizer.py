"""How many events a worker may take at a time: many where its handlers are quick, one where they are slow."""

from collections import deque

REMEMBERED = 64  # events
AT_ONCE_SECONDS = 0.25  # of work, by the mean of the events that are remembered
MOST = 64
QUICKEST_SECONDS = 0.001


class Pace:
    """Of one process: at most as many as it knows of.

    The mean decides, so that a moment in which the machine stood still does not; one event of many seconds is still
    enough to take single ones. What waits behind an event that turns out to be slow, ``keeper`` gives away.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """An event took this long."""
        self._seconds.append(seconds)

    @property
    def events(self) -> int:
        """How many to take at once, from 1."""
        known = len(self._seconds)
        mean = max(sum(self._seconds) / max(known, 1), QUICKEST_SECONDS)
        return max(1, min(known, MOST, int(AT_ONCE_SECONDS / mean)))
