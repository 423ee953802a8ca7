"""How many events a worker may take at a time: many where its handlers are quick, one where they are slow."""

from collections import deque

REMEMBERED = 64  # events
AT_ONCE_SECONDS = 0.25  # of work, by the mean of the events that are remembered
MAX_EVENTS = 64
MIN_SECONDS = 0.001


class BatchSizer:
    """Sizes the batches of one process, by how long its last events took.

    Use the mean: one stall of the machine barely shrinks the batch, one event of many seconds shrinks it to 1.
    ``lease_renewer`` gives back the lanes that wait behind an event that turns out to be slow.
    """

    def __init__(self) -> None:
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)

    def record(self, seconds: float) -> None:
        """Remember how long an event took."""
        self._seconds.append(seconds)

    @property
    def size(self) -> int:
        """Return how many events to take at once: from 1, and no more than are remembered."""
        remembered = len(self._seconds)
        mean = max(sum(self._seconds) / max(remembered, 1), MIN_SECONDS)
        return max(1, min(remembered, MAX_EVENTS, int(AT_ONCE_SECONDS / mean)))
