"""A wait for Postgres that ends, whatever Postgres does.

psycopg2 waits for the server in a callback, if one is given, and this one gives up at a deadline; the
connection is then closed. The callback is the whole process's: only the web installs it. A wait outside
``until`` has no deadline. COPY does not work with a callback.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2.extensions import POLL_OK, POLL_READ, set_wait_callback

_deadline = threading.local()


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Waits of this thread in the block end at ``deadline`` (``time.monotonic``) with OperationalError."""
    _deadline.at = deadline
    try:
        yield
    finally:
        _deadline.at = None


def install() -> None:
    """From now on every wait of this process can be given an end."""
    set_wait_callback(_wait)


def _wait(connection: Any) -> None:
    while (state := connection.poll()) != POLL_OK:
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN if state == POLL_READ else select.POLLOUT)
        if not poller.poll(_left_ms()):
            raise psycopg2.OperationalError("Postgres did not answer in time")


def _left_ms() -> float | None:
    at: float | None = getattr(_deadline, "at", None)
    return None if at is None else max(0.0, at - time.monotonic()) * 1000
