"""What becomes of an attempt by what the target answered. Pure: no I/O."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

BASE_SECONDS = 5.0
FACTOR = 3.0
CAP_SECONDS = 24 * 3600.0
JITTER = (
    0.2  # of the pause, added: what failed together does not come back together, and nothing comes too early
)
MAX_DAYS = 8
MAX_SECONDS_TRIED = MAX_DAYS * 24 * 3600.0
KEPT_BYTES = 4096  # of an answer, with its attempt
GONE = 410
TOO_MANY = 429
THROTTLES = frozenset({TOO_MANY, 502, 504})  # the whole target, not this event alone
UNAVAILABLE = 503

Jitter = Callable[[float, float], float]
Next = Literal["done", "again", "dead", "stop"]


@dataclass(frozen=True, slots=True)
class TargetAnswer:
    """What came back; ``status`` None: no answer, and ``error`` says why."""

    status: int | None = None
    error: str | None = None
    body: bytes = b""
    whole: bool = True  # nothing of the body was left out
    retry_after: str | None = None
    date: str | None = None  # by the target's clock
    seconds: float = 0.0

    @property
    def is_done(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def kept(self) -> str | None:
        """The status and the beginning of the body; None for a success that says nothing."""
        if self.status is None or (self.is_done and not self.body):
            return None
        text = self.body[:KEPT_BYTES].decode("utf-8", "replace").replace("\x00", "\ufffd")
        return f"{self.status} {text}".strip()


@dataclass(frozen=True, slots=True)
class TargetDecision:
    """What follows an attempt."""

    next: Next
    error: str | None = None
    after_seconds: float = 0.0  # until the next attempt
    costs_nothing: bool = False  # the attempt is not counted
    throttle_seconds: float = 0.0  # that the target is left alone
    failed: bool | None = None  # for the breaker; None: says nothing about the target's health


def judge(
    answer: TargetAnswer,
    attempt: int,
    age_seconds: float,
    now: datetime | None = None,
    jitter: Jitter = random.uniform,
) -> TargetDecision:
    """Return what follows attempt number ``attempt`` (from 1) of a job that waits since ``age_seconds``."""
    if answer.is_done:
        return TargetDecision("done", failed=False)
    if answer.status == GONE:
        return TargetDecision("stop", "answered 410: the target is gone", costs_nothing=True, failed=False)
    error = words(answer)
    if age_seconds > MAX_SECONDS_TRIED:
        return TargetDecision(
            "dead", f"given up after {attempt} attempts in {MAX_DAYS} days: {error}", failed=True
        )
    asked = retry_after_seconds(answer, now or datetime.now(UTC))
    seconds = backoff(attempt, jitter) if asked is None else asked
    throttles = answer.status in THROTTLES or (answer.status == UNAVAILABLE and asked is not None)
    return TargetDecision(
        "again",
        error,
        after_seconds=seconds,
        throttle_seconds=seconds if throttles else 0.0,
        failed=None if answer.status == TOO_MANY else True,
    )


def backoff(attempt: int, jitter: Jitter = random.uniform) -> float:
    """Return the seconds after attempt number ``attempt``: 5 s, three times as long each time, up to 24 h."""
    seconds = min(CAP_SECONDS, BASE_SECONDS * FACTOR ** min(attempt - 1, 30))
    return seconds + jitter(0, seconds * JITTER)


def words(answer: TargetAnswer) -> str:
    """Return why an attempt failed."""
    if answer.status is None:
        return answer.error or "no answer"
    if 300 <= answer.status < 400:
        return f"answered {answer.status}: redirects are not followed; write the final address into url"
    return answer.error or f"answered {answer.status}"


def retry_after_seconds(answer: TargetAnswer, now: datetime) -> float | None:
    """Return what Retry-After asks for, a number or a date, CAP_SECONDS at most; None where it says nothing."""
    text = (answer.retry_after or "").strip()
    if text.isdecimal() and text.isascii():
        return min(float(text[:9]), CAP_SECONDS)
    until, then = _moment(text), _moment(answer.date or "")
    if until is None:
        return None
    return min(max((until - (then or now)).total_seconds(), 0.0), CAP_SECONDS)


def _moment(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
