"""Flower's server: what it listens on, and how long and how many connections may hold it.

Tornado alone waits an hour for a head, for ever for a client to read, and makes a Unix socket that every user of the
machine may open.
"""

import os
import stat
import time
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.iostream import IOStream
from tornado.netutil import bind_unix_socket

from app.errors import NeverdropError

HEAD_BYTES = 16 * 1024
IDLE_SECONDS = 60  # for a head to arrive whole, and between two requests
DRAIN_SECONDS = 60  # for a client to read what is waiting for it
MAX_CONNECTIONS = 500  # fewer than the 1,024 files that a process may usually open
BUFFER_BYTES = 1024 * 1024  # of what has arrived and is not read yet
SWEEP_SECONDS = 1.0
SOCKET_MODE = 0o600
DIRECTORY_MODE = 0o700


class UnsafeSocket(NeverdropError):
    """The directory of the socket is open to other users, or something else is in its place."""


class BoundedServer(HTTPServer):
    """Tornado's server, with bounds on what a client without a login may hold."""

    def initialize(self, request_callback: Any, *args: Any, **options: Any) -> None:
        options |= {
            "max_header_size": HEAD_BYTES,
            "idle_connection_timeout": IDLE_SECONDS,
            "max_buffer_size": BUFFER_BYTES,
        }
        super().initialize(request_callback, *args, **options)
        self._opened: dict[
            IOStream, float | None
        ] = {}  # since when its client has not read all; oldest first
        self._sweep = PeriodicCallback(self._close_unread, SWEEP_SECONDS * 1000)
        self._sweep.start()

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Serve a connection; of too many the oldest is closed, so that a new client is always served."""
        self._drop_closed()
        if len(self._opened) >= MAX_CONNECTIONS:
            oldest = next(iter(self._opened))
            del self._opened[oldest]
            oldest.close()
        self._opened[stream] = None
        super().handle_stream(stream, address)

    def stop(self) -> None:
        self._sweep.stop()
        super().stop()

    def _drop_closed(self) -> None:
        for stream in [each for each in self._opened if each.closed()]:
            del self._opened[stream]

    def _close_unread(self) -> None:
        self._drop_closed()
        now = time.monotonic()
        for stream, since in self._opened.items():
            if not stream.writing():
                self._opened[stream] = None
            elif since is None:
                self._opened[stream] = now
            elif now - since > DRAIN_SECONDS:
                stream.close()


def bind_private_socket(path: str) -> Any:
    """Return a Unix socket that listens at ``path``, for this user alone from its first moment on.

    Raises UnsafeSocket where other users could put a socket of theirs in its place, or where a file or a link is there.
    """
    directory = Path(path).absolute().parent
    directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid not in (os.getuid(), 0) or stat.S_IMODE(found.st_mode) & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeSocket(
            f"FLOWER_UNIX_SOCKET is in {directory}, where other users may write: they could put a socket of theirs "
            "there, and get what people type in to log in. Name a directory of its own, such as /run/neverdrop"
        )
    if os.path.lexists(path) and not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise UnsafeSocket(
            f"FLOWER_UNIX_SOCKET: {path} is there and is no socket. Remove it, or name another"
        )
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        return bind_unix_socket(path, mode=SOCKET_MODE)
    finally:
        os.umask(before)
