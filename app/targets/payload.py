"""A function of the team's own that makes the body: run in a thread, since it may block or hang."""

import asyncio
from collections.abc import Callable
from typing import Any

from app.errors import Permanent, RetryAfter
from app.handlers import Event
from app.targets import answers
from app.targets.answers import TargetDecision


class PayloadFailed(Exception):
    """The function raised, hung, or returned what is no JSON; nothing was posted."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(f"its payload function: {type(cause).__name__}: {cause}")
        self.cause = cause

    def decision(self, attempt: int) -> TargetDecision:
        """Return what follows, as for a handler that raises: its own faults say nothing about the target."""
        if isinstance(self.cause, Permanent):
            return TargetDecision("dead", str(self))
        asked = self.cause.seconds if isinstance(self.cause, RetryAfter) else None
        seconds = (
            min(max(float(asked), 0.0), answers.CAP_SECONDS)
            if asked is not None
            else answers.backoff(attempt)
        )
        return TargetDecision("again", str(self), after_seconds=seconds)


async def made_by(
    function: Callable[..., Any], event: Event | list[Event], content: Any, limit_seconds: float
) -> Any:
    """Return what the function makes of the body. PayloadFailed if it makes no JSON object or list of it in time."""
    try:
        async with asyncio.timeout(limit_seconds):
            made = await asyncio.to_thread(function, event, content)
    except Exception as error:
        raise PayloadFailed(error) from error
    if not isinstance(made, dict | list):
        raise PayloadFailed(TypeError(f"returned a {type(made).__name__}, not a dict or list"))
    return made
