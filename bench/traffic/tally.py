"""What a load did: answers, their latencies as a histogram, and what the sending itself cost. Pure: no I/O."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

STEP = math.log(1.01)  # a bucket is one per cent wide, so a percentile is that exact
SMALLEST_SECONDS = 1e-6


@dataclass(slots=True)
class Histogram:
    """Latencies in seconds, by buckets."""

    buckets: Counter[int] = field(default_factory=Counter)

    @classmethod
    def of(cls, latencies: Iterable[float]) -> "Histogram":
        return cls(Counter(int(math.log(max(each, SMALLEST_SECONDS)) // STEP) for each in latencies))

    def percentile(self, percent: float) -> float:
        """Seconds; NaN where nothing was measured."""
        left = sum(self.buckets.values()) * percent / 100
        for bucket, count in sorted(self.buckets.items()):
            left -= count
            if left <= 0:
                return math.exp((bucket + 0.5) * STEP)
        return math.nan


@dataclass(slots=True)
class Tally:
    """``accepted`` posts were answered with 200; the others were refused or broken off, and sent again."""

    accepted: int = 0
    refused: int = 0  # answered, but not with 200
    broken: int = 0  # not answered
    seconds: float = 0.0
    cpu_seconds: float = 0.0  # of the sender, user and system
    latencies: Histogram = field(default_factory=Histogram)
    lags: Histogram = field(default_factory=Histogram)  # open loop: how late the sender itself was

    @property
    def rate(self) -> float:
        """Accepted a second."""
        return self.accepted / self.seconds if self.seconds else math.nan

    @property
    def cpu_us(self) -> float:
        """The sender's own cost of a post, microseconds of a core."""
        return self.cpu_seconds / self.accepted * 1e6 if self.accepted else math.nan

    def p(self, percent: float) -> float:
        """A percentile of the latencies, milliseconds."""
        return self.latencies.percentile(percent) * 1e3

    def plus(self, other: "Tally") -> "Tally":
        """Of two senders that worked at the same time."""
        return Tally(
            self.accepted + other.accepted,
            self.refused + other.refused,
            self.broken + other.broken,
            max(self.seconds, other.seconds),
            self.cpu_seconds + other.cpu_seconds,
            Histogram(self.latencies.buckets + other.latencies.buckets),
            Histogram(self.lags.buckets + other.lags.buckets),
        )

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {name: dict(getattr(self, name).buckets) for name in _HISTOGRAMS}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> "Tally":
        histograms: dict[str, Any] = {
            name: Histogram(Counter({int(bucket): count for bucket, count in found[name].items()}))
            for name in _HISTOGRAMS
        }
        plain: dict[str, Any] = {name: found[name] for name in _PLAIN}
        return cls(**plain, **histograms)


_PLAIN = ("accepted", "refused", "broken", "seconds", "cpu_seconds")
_HISTOGRAMS = ("latencies", "lags")
