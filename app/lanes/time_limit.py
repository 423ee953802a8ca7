"""Stops code that runs too long, where the process can: in its main thread, by SIGALRM."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

AGAIN_SECONDS = 1.0  # a handler that swallows the first interruption gets another one each second


class TimeLimitExceeded(BaseException):
    """Not an Exception, so that a handler's own ``except Exception`` does not swallow it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded inside the block after ``seconds``.

    Outside the main thread (pools of threads) nothing is interrupted, and code that blocks inside a C call is
    only interrupted when the call returns; Celery's hard limit, which kills the pool process, is behind it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeLimitExceeded(f"took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:  # again, since the signal may have come just before the line above
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
