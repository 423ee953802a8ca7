"""Requests that were turned away: all counted, logged at most once a second, however many they are."""

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
        self._untold: Counter[str] = Counter()
        self._quiet_until = float("-inf")

    def count(self, reason: str) -> None:
        """One more; the log line says how many there were since the line before it, by reason."""
        with self._lock:
            self._untold[reason] += 1
            now = self._clock()
            if now < self._quiet_until:
                return
            self._quiet_until = now + LOG_INTERVAL_SECONDS
            told, self._untold = self._untold, Counter()
        log.warning("webhook.rejected", reason=reason, requests=dict(told))
