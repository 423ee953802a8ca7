"""What becomes of a send by what its answer says. Pure: no I/O."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from app.graph import Accepted, Answer, Remedy, Unknown

BASE_SECONDS = 1.0
CAP_SECONDS = 300.0
PAIR_BASE = 4.0
MAX_SECONDS_TRIED = 24 * 3600.0  # no customer wants an older answer
MAX_ATTEMPTS = 1000

Jitter = Callable[[float, float], float]
Next = Literal["accepted", "queued", "unknown", "dead"]


@dataclass(frozen=True, slots=True)
class SendDecision:
    """The state that follows an attempt."""

    state: Next
    error: str | None = None
    code: int | None = None
    message_id: str | None = None
    after_seconds: float = 0.0  # until the next attempt
    costs_nothing: bool = False  # the attempt is not counted: it could not have succeeded
    stops_number: bool = False
    pauses_number_seconds: float = 0.0


def judge(answer: Answer, attempt: int, age_seconds: float, jitter: Jitter = random.uniform) -> SendDecision:
    """Return what follows attempt number ``attempt`` (from 1) of a send that was written ``age_seconds`` ago."""
    if isinstance(answer, Accepted):
        return SendDecision("accepted", message_id=answer.message_id)
    if isinstance(answer, Unknown):
        return SendDecision("unknown", answer.error)
    if answer.remedy is Remedy.DEAD:
        return SendDecision("dead", answer.error, answer.code)
    if answer.remedy is Remedy.STOP:
        return SendDecision("queued", answer.error, answer.code, costs_nothing=True, stops_number=True)
    if age_seconds > MAX_SECONDS_TRIED or attempt >= MAX_ATTEMPTS:
        return SendDecision("dead", f"given up after {attempt} attempts: {answer.error}", answer.code)
    seconds = answer.retry_after_seconds or _backoff(answer.remedy, attempt, jitter)
    pause = seconds if answer.remedy is Remedy.THROTTLE else 0.0
    return SendDecision(
        "queued", answer.error, answer.code, after_seconds=seconds, pauses_number_seconds=pause
    )


def _backoff(remedy: Remedy, attempt: int, jitter: Jitter) -> float:
    exponent = min(attempt - 1, 30)
    if remedy is Remedy.WAIT_PAIR:  # Meta's rule: 4^X seconds
        return min(CAP_SECONDS, PAIR_BASE**exponent)
    return jitter(BASE_SECONDS / 2, min(CAP_SECONDS, BASE_SECONDS * 2.0**exponent))
