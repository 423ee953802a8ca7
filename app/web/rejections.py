"""Count rejected requests, and log them at most once a second."""

import threading
import time
from collections import Counter
from collections.abc import Callable

from config.logging import get_logger

LOG_INTERVAL_SECONDS = 1.0

log = get_logger(__name__)


class Rejections:
    """Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._unlogged: Counter[str] = Counter()
        self._totals: Counter[str] = Counter()
        self._quiet_until = float("-inf")

    def count(self, reason: str) -> None:
        """Count one rejected request; the log line has the numbers since the line before it, by reason."""
        with self._lock:
            self._totals[reason] += 1
            self._unlogged[reason] += 1
            now = self._clock()
            if now < self._quiet_until:
                return
            self._quiet_until = now + LOG_INTERVAL_SECONDS
            counts, self._unlogged = self._unlogged, Counter()
        log.warning("webhook.rejected", reason=reason, requests=dict(counts))

    def total(self, reason: str) -> int:
        """Return how many were rejected for a reason since the process began."""
        return self._totals[reason]
