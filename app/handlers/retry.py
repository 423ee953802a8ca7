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
LONGEST_SECONDS = 7 * 24 * 3600.0

Jitter = Callable[[float, float], float]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a handler is tried, and how long it is waited in between."""

    max_attempts: int = MAX_ATTEMPTS
    base_seconds: float = BASE_SECONDS
    cap_seconds: float = CAP_SECONDS

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be 1 or more, not {self.max_attempts}")
        if self.base_seconds <= 0 or self.cap_seconds <= 0:
            raise ValueError("backoff must be a positive number of seconds")


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
    if isinstance(error, RetryAfter) and math.isfinite(error.seconds):
        return RetryDecision(min(max(error.seconds, 0), LONGEST_SECONDS))
    # 2.0 ** 1024 overflows; the cap is reached long before
    longest = min(policy.cap_seconds, policy.base_seconds * 2.0 ** min(attempt - 1, 60))
    return RetryDecision(jitter(0, longest))
