"""One budget of bytes for all requests of a process whose signature is not known yet.

When it is exceeded, requests are evicted: first those that have taken long, the slowest first, then young ones, the
largest first. An honest sender is done in a moment; most of its bodies are small. Nobody waits for a slot, and the
number of requests does not matter.
"""

from collections.abc import Callable

MAX_BYTES = 32 * 1024 * 1024  # ten bodies of the largest size
KEPT_SHARE = 0.75  # evict down to this share, so that not every further byte sorts all requests again
YOUNG_SECONDS = 2.0  # in which an honest sender is done


class Holder:
    """One connection's share of the budget. ``evict`` must end the request and call ``release``."""

    def __init__(self, evict: Callable[[], None]) -> None:
        self.evict = evict
        self.num_bytes = 0
        self.since = 0.0

    def sort_key(self, now: float) -> tuple[bool, float]:
        """Order holders by who is evicted first."""
        age = now - self.since
        if age < YOUNG_SECONDS:
            return True, -self.num_bytes
        return False, self.num_bytes / age


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
        """Count bytes that have really come; evict holders when there are too many."""
        if not holder.num_bytes:
            holder.since = now
            self._holders.add(holder)
        holder.num_bytes += num_bytes
        self._num_bytes += num_bytes
        if self._num_bytes > self._max_bytes:
            self._evict(now)

    def _evict(self, now: float) -> None:
        for holder in sorted(self._holders, key=lambda each: each.sort_key(now)):
            if self._num_bytes <= self._max_bytes * KEPT_SHARE:
                break
            holder.evict()

    def release(self, holder: Holder) -> None:
        """Count the holder's bytes no more; does nothing when it has none."""
        self._num_bytes -= holder.num_bytes
        holder.num_bytes = 0
        self._holders.discard(holder)
