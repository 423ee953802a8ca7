"""End every wait for Postgres, whatever Postgres does.

psycopg2 waits for the server in a callback, if it is given one. This one gives up at a deadline, and psycopg2 then
closes the connection. It is the whole process's, and set once, when this module is imported: to take it away again
would break the waits of other threads. How long a wait may take a connection says itself (``bounded``), and a thread
for all the waits of a block (``until``); that a connection is opened, its ``connect_timeout``, which libpq does not
look at any more.

With a callback, signals interrupt a wait, so that a handler's time limit ends its query too; and COPY does not work in
this process, on no connection of psycopg2's.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg2
from psycopg2 import extensions

CONNECTING = 20  # psycopg2's status of a connection that is being opened; it has no name there

Connection = TypeVar("Connection", bound=extensions.connection)

_limits = threading.local()  # ``at``, of this thread


def bounded(kind: type[Connection], seconds: float) -> type[Connection]:
    """Return a kind of connection of which no wait takes longer; OperationalError then."""
    return type(f"Bounded{kind.__name__}", (kind,), {"max_wait_seconds": seconds})


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Waits of this thread in the block end at ``deadline`` (``time.monotonic``) with OperationalError."""
    outer = getattr(_limits, "at", None)
    _limits.at = deadline if outer is None else min(outer, deadline)
    try:
        yield
    finally:
        _limits.at = outer


def share(seconds: float, parts: int) -> float:
    """Return ``seconds``, or an equal share of what this thread's block has left for ``parts``, if that is less."""
    outer = getattr(_limits, "at", None)
    return seconds if outer is None else min(seconds, (outer - time.monotonic()) / parts)


def _wait(connection: Any) -> None:
    deadline = _deadline(connection)
    while (state := connection.poll()) != extensions.POLL_OK:
        poller = select.poll()
        poller.register(
            connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        )
        if not poller.poll(None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000):
            raise psycopg2.OperationalError("Postgres did not answer in time")


def _deadline(connection: Any) -> float | None:
    if connection.status == CONNECTING:
        seconds = float(extensions.parse_dsn(connection.dsn).get("connect_timeout", 0)) or None
    else:
        seconds = getattr(connection, "max_wait_seconds", None)
    ends = (None if seconds is None else time.monotonic() + seconds, getattr(_limits, "at", None))
    return min((end for end in ends if end is not None), default=None)


extensions.set_wait_callback(_wait)
