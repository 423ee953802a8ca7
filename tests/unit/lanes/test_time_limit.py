"""Code that runs too long is stopped, and nothing of the clock is left behind."""

import signal
import threading
import time
from contextlib import suppress
from typing import Any

import pytest

from app.lanes import time_limit as module
from app.lanes.time_limit import TimeLimitExceeded, time_limit

SHORT_SECONDS = 0.02
LONG_SECONDS = 30

pytestmark = pytest.mark.timeout(60, method="thread")  # the other method has the same clock


def rings() -> bool:
    return signal.getitimer(signal.ITIMER_REAL) != (0, 0)


def test_what_takes_too_long_is_stopped() -> None:
    with pytest.raises(TimeLimitExceeded, match=r"longer than 0\.02 s"), time_limit(SHORT_SECONDS):
        time.sleep(LONG_SECONDS)
    assert not rings()


def test_what_is_in_time_is_left_alone() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with time_limit(LONG_SECONDS):
        assert rings()
    assert not rings()
    assert signal.getsignal(signal.SIGALRM) is before


def test_an_except_for_all_exceptions_does_not_swallow_it() -> None:
    def swallow() -> None:
        try:
            time.sleep(LONG_SECONDS)
        except Exception:
            return

    with pytest.raises(TimeLimitExceeded), time_limit(SHORT_SECONDS):
        swallow()


def test_code_that_swallows_even_that_is_interrupted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AGAIN_SECONDS", SHORT_SECONDS)

    def swallow_two() -> None:
        for _ in range(2):
            with suppress(TimeLimitExceeded):
                time.sleep(LONG_SECONDS)
        time.sleep(LONG_SECONDS)

    with pytest.raises(TimeLimitExceeded), time_limit(SHORT_SECONDS):
        swallow_two()


def test_an_error_inside_stops_the_clock_too() -> None:
    with pytest.raises(ValueError, match="inside"), time_limit(LONG_SECONDS):
        raise ValueError("inside")
    assert not rings()


def test_a_limit_that_is_reached_in_the_last_instant_leaves_no_clock_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The signal comes after the block ended and before the clock is stopped."""
    real = signal.setitimer
    pending = [True]

    def setitimer(which: int, seconds: float, interval: float = 0) -> Any:
        if seconds == 0 and pending.pop() if pending else False:
            signal.raise_signal(signal.SIGALRM)
        return real(which, seconds, interval)

    before = signal.getsignal(signal.SIGALRM)
    monkeypatch.setattr(signal, "setitimer", setitimer)
    try:
        with pytest.raises(TimeLimitExceeded), time_limit(LONG_SECONDS):
            pass
        assert not rings()
        assert signal.getsignal(signal.SIGALRM) is before
    finally:
        real(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_outside_the_main_thread_nothing_is_interrupted() -> None:
    def run() -> None:
        with time_limit(SHORT_SECONDS):
            clocks.append(rings())

    clocks: list[bool] = []
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert clocks == [False]
