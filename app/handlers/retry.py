"""After a failed attempt: when again, or never. Pure: no I/O."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from app.errors import Permanent, RetryAfter

# With these an event is dead about a quarter of an hour after its first attempt
MAX_ATTEMPTS = 10
# The longest wait before the second attempt; before each further one it may be twice as long
BASE_SECONDS = 2.0
CAP_SECONDS = 600.0
# That a handler may ask to wait; what is no number of seconds is backed off
MAX_WAIT_SECONDS = 7 * 24 * 3600.0
# That may be asked for: attempts are counted for as long as an event is kept, retries by people included
ATTEMPTS_LIMIT = 1000

Jitter = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a handler is tried, and how long it is waited in between."""

    max_attempts: int = MAX_ATTEMPTS
    base_seconds: float = BASE_SECONDS
    cap_seconds: float = CAP_SECONDS

    def __post_init__(self) -> None:
        whole = isinstance(self.max_attempts, int) and not isinstance(self.max_attempts, bool)
        if not whole or not 1 <= self.max_attempts <= ATTEMPTS_LIMIT:
            raise ValueError(
                f"max_attempts must be a whole number from 1 to {ATTEMPTS_LIMIT}, not {self.max_attempts!r}"
            )
        for name, seconds in (("base_seconds", self.base_seconds), ("cap_seconds", self.cap_seconds)):
            number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not number or not math.isfinite(seconds) or seconds <= 0:
                raise ValueError(f"{name} must be a positive number of seconds, not {seconds!r}")


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """``after_seconds`` until the next attempt; None: the event is dead."""

    after_seconds: float | None

    @property
    def dead(self) -> bool:
        return self.after_seconds is None


DEAD = RetryDecision(None)


def decide(
    policy: RetryPolicy, attempt: int, error: BaseException, jitter: Jitter = random.uniform
) -> RetryDecision:
    """What follows the failure of attempt number ``attempt`` (from 1, since the last retry by a person).

    Exponential backoff with full jitter: uniform between 0 and base * 2^(attempt - 1), capped, so that many
    events that failed together do not come back together.
    """
    if isinstance(error, Permanent) or attempt >= policy.max_attempts:
        return DEAD
    seconds = _asked_seconds(error)
    if seconds is not None:
        return RetryDecision(min(max(seconds, 0), MAX_WAIT_SECONDS))
    # 2.0 ** 1024 overflows; the cap is reached long before
    longest = min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(attempt - 1, 60))
    return RetryDecision(jitter(0, longest))


def _asked_seconds(error: BaseException) -> float | None:
    """Return how long a RetryAfter asks to wait; None for another error, and for what is no number of seconds."""
    if not isinstance(error, RetryAfter):
        return None
    try:
        seconds = float(error.seconds)
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None
