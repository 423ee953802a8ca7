"""Where refused connections wait, unread, before they are closed.

A client that is closed at once opens the next connection at once, and to accept, parse and refuse again costs more than
to wait. Its answer has been sent: who reads it may go. Nothing is kept for a parked connection but the socket.
"""

import asyncio
import resource
from collections import deque

PARK_SECONDS = 5.0
MAX_PARKED = 4_096  # then the one that has waited longest is closed
FILES_SHARE = 0.25  # of the files that the process may ever open


class Parking:
    """The connections that are parked, in the order in which they came. For one event loop."""

    def __init__(self) -> None:
        self._parked: deque[tuple[float, asyncio.Transport]] = deque()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._max = MAX_PARKED if hard == resource.RLIM_INFINITY else min(MAX_PARKED, int(hard * FILES_SHARE))

    def add(self, transport: asyncio.Transport, now: float) -> None:
        """Close ``transport`` after PARK_SECONDS, or when too many have come after it."""
        if not PARK_SECONDS:
            transport.close()
            return
        self._parked.append((now, transport))
        if len(self._parked) > self._max:
            _close(self._parked.popleft()[1])

    def close_due(self, now: float) -> None:
        """Close those that have waited for long enough."""
        while self._parked and now - self._parked[0][0] >= PARK_SECONDS:
            _close(self._parked.popleft()[1])


def _close(transport: asyncio.Transport) -> None:
    """What the client has not read by now, it does not get."""
    transport.abort()
