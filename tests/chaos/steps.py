"""What a fault waits for between two of its steps."""

import time
from collections.abc import Callable, Iterator

from app.dev.processes.children import Running

# A fault acts, yields the condition under which it goes on, and is resumed when that has come true
Steps = Iterator[Callable[[], bool]]


def after(seconds: float) -> Callable[[], bool]:
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def ended(running: Running, patience_seconds: float) -> Callable[[], bool]:
    """Once the process is gone, or patience is at its end."""
    patient = after(patience_seconds)
    return lambda: not running.alive or patient()
