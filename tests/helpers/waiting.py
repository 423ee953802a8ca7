"""Waiting for a condition, not for a time."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 60
POLL_SECONDS = 0.02


def until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once it holds; AssertionError when it does not in so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about within {seconds:g} s"
        time.sleep(POLL_SECONDS)
