"""The name of a delivery: a UUIDv7 (RFC 9562), so that the order of ids is the order of acceptance.

The first 48 bits are Unix milliseconds, the next 12 the fraction of the millisecond, the rest is random. The
time is Redis's, whatever the clock of this machine says: several web processes order by one clock. It is
followed through the answers to TIME that come with each write, never by asking; only a process that starts
while Redis is away asks Postgres, once. What this cannot see: an answer says when TIME ran only to within its
round trip, so two webs agree no better than that, and no better than the two stores' clocks where one asked
Postgres.
"""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NS_PER_MS = 1_000_000
# A clock that is found to be further ahead than this was set back: that is followed, rather than waited for
MAX_AHEAD_NS = 1_000 * NS_PER_MS

_VERSION_AND_VARIANT = 7 << 76 | 2 << 62
_WALL_AT_START_NS = time.time_ns() - time.monotonic_ns()


def local_ns() -> int:
    """Unix nanoseconds by this machine; does not jump when somebody sets its clock."""
    return _WALL_AT_START_NS + time.monotonic_ns()


class DeliveryIds:
    """Gives ids by Redis's clock, each greater than the one before unless that clock was set back. Safe for threads."""

    def __init__(self, local: Callable[[], int] = local_ns) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._offset_ns = 0  # what has to be added to the local clock
        self._clock_synced = False
        self._last = 0  # time of the last id, in 1/4096 ms

    def take(self, count: int) -> list[str]:
        """The next ``count`` ids, ascending, as text (which sorts as the UUIDs do)."""
        with self._lock:
            now = self._ticks(self._local() + self._offset_ns)
            first = max(now, self._last + 1)
            self._last = first + count - 1
        return [_text(first + nth) for nth in range(count)]

    @property
    def clock_synced(self) -> bool:
        """Whether a store has told the time; until then ids follow this machine's clock."""
        return self._clock_synced

    def sync_clock(self, redis_ns: int, asked_ns: int, answered_ns: int) -> None:
        """Redis said that it was ``redis_ns`` at some instant between two local ones.

        The offset moves only as far as it must to agree with that: a slow answer changes nothing. Where ids would have
        to stand still until a clock that was set back has caught up, they go back with it: else those of two processes
        would stand still at different times, and what one accepts would be before all that the other does.
        """
        with self._lock:
            least, most = redis_ns - answered_ns, redis_ns - asked_ns
            self._offset_ns = min(max(self._offset_ns, least), most)
            if self._last > self._ticks(redis_ns + MAX_AHEAD_NS):
                self._last = 0
            self._clock_synced = True

    @staticmethod
    def _ticks(unix_ns: int) -> int:
        milliseconds, rest = divmod(unix_ns, NS_PER_MS)
        return milliseconds << 12 | (rest << 12) // NS_PER_MS


def accepted_ms(delivery_id: str | UUID) -> int:
    """When the delivery was accepted, in Unix milliseconds."""
    if isinstance(delivery_id, UUID):
        return delivery_id.int >> 80
    return int(delivery_id[:8] + delivery_id[9:13], 16)


def accepted_at(delivery_id: str | UUID) -> datetime:
    """When the delivery was accepted, to the millisecond, in UTC."""
    return EPOCH + timedelta(milliseconds=accepted_ms(delivery_id))


def _text(ticks: int) -> str:
    stamp = ticks >> 12 << 80 | (ticks & 0xFFF) << 64
    # Unique, not secret: the system's own random numbers cost a turn of the GIL each
    digits = f"{stamp | _VERSION_AND_VARIANT | random.getrandbits(62):032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


ids = DeliveryIds()  # this process's
