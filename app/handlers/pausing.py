"""What ``ctx.pause`` asks for: a person takes over, for a while or until it is resumed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from app.errors import Permanent
from app.handlers.options import HandlerError, check_lane, check_seconds

MAX_SECONDS = 365 * 24 * 3600
Meanwhile = Literal["keep", "skip"]


class InvalidPause(Permanent):
    """What a handler asks for is no pause; trying again would not help."""


@dataclass(frozen=True, slots=True)
class WantedPause:
    """A pause that is committed with the job."""

    seconds: float | None  # None: until a person resumes it
    why: str
    skips: bool  # messages that come meanwhile are skipped when it ends
    lane: str | None  # the name of the lane; None: the handler's own


def want(for_: timedelta | float | None, why: str, meanwhile: Meanwhile, lane: str | None) -> WantedPause:
    """Return what is asked for; InvalidPause says what is wrong with it."""
    if meanwhile not in ("keep", "skip"):
        raise InvalidPause(f"meanwhile must be 'keep' or 'skip', not {meanwhile!r}")
    seconds = for_.total_seconds() if isinstance(for_, timedelta) else for_
    try:
        if seconds is not None:
            check_seconds("for_", seconds)
        if lane is not None:
            check_lane(lane)
    except HandlerError as error:
        raise InvalidPause(str(error)) from error
    if seconds is not None and seconds > MAX_SECONDS:
        raise InvalidPause(f"for_ must be {MAX_SECONDS} seconds (a year) at most, not {seconds}")
    return WantedPause(seconds, why, meanwhile == "skip", lane)


def hours(number: float) -> timedelta:
    """Return so many hours, for ``ctx.pause(for_=hours(8))``."""
    return timedelta(hours=number)
