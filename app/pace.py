"""How many events a worker may take at a time: many where its handlers are quick, one where they are slow."""

from collections import deque

REMEMBERED = 64  # events
AT_ONCE_SECONDS = 0.25  # of work, by the slowest event that is remembered
MOST = 64
QUICKEST_SECONDS = 0.001


class Pace:
    """Of one process: at most as many as it knows of. One slow event among many is enough to take single ones."""

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def note(self, seconds: float) -> None:
        """An event took this long."""
        self._seconds.append(seconds)

    @property
    def events(self) -> int:
        """How many to take at once, from 1."""
        slowest = max((*self._seconds, QUICKEST_SECONDS))
        return max(1, min(len(self._seconds), MOST, int(AT_ONCE_SECONDS / slowest)))
