"""How many attempts may begin at one target now: breaker, throttling, rate, and how many are under way. Pure: no I/O.

Each forwarder judges by what it saw itself, so no store has to answer for an attempt to begin. Times are seconds of
``time.monotonic``.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

WINDOW_SECONDS = 300.0
BUCKET_SECONDS = 10.0
MIN_ATTEMPTS = 10  # that are judged
FAILED_SHARE = 0.7
OPEN_SECONDS = 30.0
BURST_SECONDS = 0.25
REMEMBERED = 500  # times that answers took

Breaker = Literal["closed", "open", "half-open"]


@dataclass(slots=True)
class _Bucket:
    since: float
    attempts: int = 0
    failures: int = 0


@dataclass(slots=True)
class TargetGate:
    """The gate of one target in one process."""

    concurrency: int
    rate: float | None = None  # attempts a second
    in_flight: int = 0
    opened_at: float | None = None  # the breaker's; None: closed
    throttled_until: float = 0.0
    _buckets: deque[_Bucket] = field(default_factory=deque)
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _tokens: float = 1.0
    _filled_at: float | None = None

    def breaker(self, now: float) -> Breaker:
        if self.opened_at is None:
            return "closed"
        return "open" if now < self.opened_at + OPEN_SECONDS else "half-open"

    def room(self, now: float) -> int:
        """Return how many attempts may begin now."""
        if now < self.throttled_until or self.breaker(now) == "open":
            return 0
        if self.opened_at is not None:
            return 0 if self.in_flight else 1  # the probe
        free = self.concurrency - self.in_flight
        return max(0, min(free, int(self._fill(now)))) if self.rate else max(0, free)

    def wait_seconds(self, now: float) -> float | None:
        """Return when there may be room, if time alone brings it; None where it does not."""
        if now < self.throttled_until:
            return self.throttled_until - now
        if self.opened_at is not None and self.breaker(now) == "open":
            return self.opened_at + OPEN_SECONDS - now
        if self.rate and self.in_flight < self.concurrency and self._fill(now) < 1:
            return (1 - self._tokens) / self.rate
        return None

    def begin(self, number: int) -> None:
        self.in_flight += number
        self._tokens -= number

    def end(self, now: float, seconds: float, *, failed: bool | None) -> None:
        """Record how an attempt ended; None: that says nothing about the target's health."""
        self.in_flight -= 1
        if failed is None:
            return
        self._seconds.append(seconds)
        bucket = self._bucket(now)
        bucket.attempts += 1
        bucket.failures += failed
        self._judge(now, failed)

    def throttle(self, now: float, seconds: float) -> None:
        """Let nothing begin for a while."""
        self.throttled_until = max(self.throttled_until, now + seconds)

    def counts(self, now: float) -> tuple[int, int]:
        """Return how many attempts of the window ended, and how many of them failed."""
        self._drop_old(now)
        return sum(each.attempts for each in self._buckets), sum(each.failures for each in self._buckets)

    def latency(self, share: float) -> float | None:
        """Return the seconds in which this share of the last attempts was answered."""
        ordered = sorted(self._seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else None

    def _judge(self, now: float, failed: bool) -> None:
        if self.opened_at is not None:
            if not failed:
                self.opened_at = None
                self._buckets.clear()
            elif self.breaker(now) == "half-open":
                self.opened_at = now
            return
        attempts, failures = self.counts(now)
        if attempts >= MIN_ATTEMPTS and failures >= attempts * FAILED_SHARE:
            self.opened_at = now

    def _bucket(self, now: float) -> _Bucket:
        if not self._buckets or now >= self._buckets[-1].since + BUCKET_SECONDS:
            self._buckets.append(_Bucket(now))
        return self._buckets[-1]

    def _drop_old(self, now: float) -> None:
        while self._buckets and self._buckets[0].since <= now - WINDOW_SECONDS:
            self._buckets.popleft()

    def _fill(self, now: float) -> float:
        rate = self.rate or 0.0
        if self._filled_at is not None:
            most = max(1.0, rate * BURST_SECONDS)
            self._tokens = min(most, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        return self._tokens
