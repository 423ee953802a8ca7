"""How fast a number may send: Meta's throughput, pauses that Meta asked for, and a breaker. In Redis, for all senders.

No library: those with a token bucket on Redis need redis-py below 8, and would take a round trip more for the pause
and the breaker, which belong to the same decision.
"""

import time
from dataclasses import dataclass, field

from redis import Redis

from app.stores import OUTBOX_FAILURES, OUTBOX_LEVEL, OUTBOX_PAUSE, OUTBOX_RATE, script

# Sends a second by Meta's level, in and out together: a quarter is left for what comes in and its read marks
LEVELS = {"STANDARD": 60, "HIGH": 750}
DEFAULT_LEVEL = "STANDARD"
LEVEL_SECONDS = 3600  # that a level is believed
BURST_SECONDS = 0.25
BREAKER_FAILURES = 10  # in a row
PROBE_SECONDS = 5
# No pause is longer: one that seems to be was set before Redis's clock was set back
MAX_PAUSE_SECONDS = 60
FAILURES_SECONDS = 300
KNOWN_SECONDS = 10  # that a process goes by the level it has read


@dataclass(slots=True)
class Rates:
    """The rates of all numbers."""

    redis: "Redis"
    _failing: set[str] = field(default_factory=set)  # numbers whose breaker counts, as far as is known here
    _levels: dict[str, tuple[str, float]] = field(
        default_factory=dict
    )  # number → level, and until when it is believed

    def take(self, number: str, wanted: int) -> tuple[int, float]:
        """Return how many sends may leave now, of ``wanted``, and if none the seconds until one may."""
        per_second = LEVELS.get(self._level(number) or DEFAULT_LEVEL, LEVELS[DEFAULT_LEVEL])
        keys = [f"{prefix}{number}" for prefix in (OUTBOX_RATE, OUTBOX_PAUSE, OUTBOX_FAILURES)]
        most = max(1, int(per_second * BURST_SECONDS))
        arguments = [
            per_second,
            most,
            wanted,
            BREAKER_FAILURES,
            PROBE_SECONDS * 1000,
            MAX_PAUSE_SECONDS * 1000,
        ]
        granted, wait_ms, failures = script(self.redis, __package__, "take_rate")(keys=keys, args=arguments)
        if failures:
            self._failing.add(number)
        return int(granted), int(wait_ms) / 1000

    def pause(self, number: str, seconds: float) -> None:
        """Let nothing leave from the number for a while, as Meta asked, MAX_PAUSE_SECONDS at most."""
        self.redis.set(
            f"{OUTBOX_PAUSE}{number}", "throttled", px=max(1, int(min(seconds, MAX_PAUSE_SECONDS) * 1000))
        )

    def record(self, number: str, *, reached: bool) -> None:
        """Count what does not reach Meta, or is answered by an error of Meta's own; one success resets the breaker."""
        key = f"{OUTBOX_FAILURES}{number}"
        if reached:
            if number in self._failing:  # or each send would cost a round trip
                self.redis.delete(key)
                self._failing.discard(number)
            return
        self._failing.add(number)
        with self.redis.pipeline() as pipe:
            pipe.incr(key)
            pipe.expire(key, FAILURES_SECONDS)
            pipe.execute()

    def level_is_known(self, number: str) -> bool:
        """Return whether Meta was asked for the number's level lately."""
        return self._level(number) is not None

    def set_level(self, number: str, level: str | None) -> None:
        """Remember the level, or for a while that Meta did not say."""
        seconds = LEVEL_SECONDS if level else 60
        self.redis.set(f"{OUTBOX_LEVEL}{number}", level or DEFAULT_LEVEL, ex=seconds)
        self._levels.pop(number, None)

    def _level(self, number: str) -> str | None:
        known, until = self._levels.get(number, ("", 0.0))
        if time.monotonic() < until:
            return known
        found = self.redis.get(f"{OUTBOX_LEVEL}{number}")
        if not isinstance(found, bytes):
            return None
        self._levels[number] = found.decode(), time.monotonic() + KNOWN_SECONDS
        return found.decode()
