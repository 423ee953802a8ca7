"""One budget of bytes for all requests of a process whose signature is not known yet.

When it is exceeded, the slowest requests are evicted: an honest sender is done in a moment, whoever holds memory to do
harm is slow. Fast requests do not wait for slow ones, and the number of requests does not matter.
"""

from collections.abc import Callable

MAX_BYTES = 32 * 1024 * 1024  # ten bodies of the largest size
KEPT_SHARE = 0.75  # evict down to this share, so that not every further byte sorts all requests again
SHORT_SECONDS = 0.25  # added to each age, so that a request that has just begun is not taken for a slow one


class Holder:
    """One connection's share of the budget. ``evict`` must end the request and call ``release``."""

    def __init__(self, evict: Callable[[], None]) -> None:
        self.evict = evict
        self.num_bytes = 0
        self.since = 0.0

    def rate(self, now: float) -> float:
        """Return bytes a second since the first byte."""
        return self.num_bytes / (now - self.since + SHORT_SECONDS)


class BodyBudget:
    """Counts bytes by connection. For one event loop."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._holders: set[Holder] = set()

    @property
    def num_bytes(self) -> int:
        """All bytes that are held now."""
        return self._num_bytes

    def add(self, holder: Holder, num_bytes: int, now: float) -> None:
        """Count bytes that have really come; evict the slowest holders when there are too many."""
        if not holder.num_bytes:
            holder.since = now
            self._holders.add(holder)
        holder.num_bytes += num_bytes
        self._num_bytes += num_bytes
        if self._num_bytes > self._max_bytes:
            for slowest in sorted(self._holders, key=lambda each: each.rate(now)):
                if self._num_bytes <= self._max_bytes * KEPT_SHARE:
                    break
                slowest.evict()

    def release(self, holder: Holder) -> None:
        """Count the holder's bytes no more; does nothing when it has none."""
        self._num_bytes -= holder.num_bytes
        holder.num_bytes = 0
        self._holders.discard(holder)
