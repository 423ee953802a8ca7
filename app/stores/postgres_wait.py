"""End a wait for Postgres at a deadline, whatever Postgres does.

psycopg2 waits for the server in a callback, if it is given one, and this one gives up at a deadline; the connection
is then closed. The callback is the whole process's: the web keeps it, the others have it while a block needs it,
since COPY does not work with a callback. A wait outside a block has no deadline.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback

_limits = threading.local()  # of this thread: ``at``, and the seconds of ``each`` wait
_lock = threading.Lock()
_installed = 0  # how many need the callback


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Waits of this thread in the block end at ``deadline`` (``time.monotonic``) with OperationalError.

    For a process that has called ``install``.
    """
    _limits.at = deadline
    try:
        yield
    finally:
        _limits.at = None


@contextmanager
def each(seconds: float) -> Iterator[None]:
    """Each wait of this thread in the block ends after ``seconds`` with OperationalError."""
    install()
    _limits.each = seconds
    try:
        yield
    finally:
        _limits.each = None
        _uninstall()


def install() -> None:
    """From now on every wait of this process can be given an end."""
    global _installed
    with _lock:
        _installed += 1
        set_wait_callback(_wait)


def _uninstall() -> None:
    global _installed
    with _lock:
        _installed -= 1
        if not _installed:
            set_wait_callback(None)


def _wait(connection: Any) -> None:
    seconds: float | None = getattr(_limits, "each", None)
    at: float | None = getattr(_limits, "at", None) if seconds is None else time.monotonic() + seconds
    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not poller.poll(None if at is None else max(0.0, at - time.monotonic()) * 1000):
            raise psycopg2.OperationalError("Postgres did not answer in time")
