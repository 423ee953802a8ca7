"""A connection to Redis that stays open, and whose calls end in time whatever Redis does.

redis-py bounds each read by itself, so that an answer which trickles in may take any time, and its own way to one
number costs more than all the rest of a write. So redis-py connects (TLS, user, database), and from then on the
socket is used directly. It relies on a private attribute of redis-py, which is pinned.
What it cannot bound is the connecting itself: a name lookup or a handshake takes the time it takes.
"""

import select
import socket
import ssl
import time
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

END = b"\r\n"
RECEIVE_BYTES = 4096
MS_PER_SECOND = 1000
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Disconnected(RedisConnectionError):
    """Redis, or something between, has closed the connection."""


class KeptConnection:
    """For one caller at a time. After any error it must not be used again."""

    def __init__(self, client: "Redis") -> None:
        """Connect as ``client`` would; RedisError when that fails."""
        pool = client.connection_pool
        self.client = client
        # Nothing is ever pushed to a connection that speaks RESP2
        self._connection: Any = pool.connection_class(**{**pool.connection_kwargs, "protocol": 2})
        self._connection.connect()
        self._socket: socket.socket = self._connection._sock
        self._socket.setblocking(False)
        self._answered, self._writable = select.poll(), select.poll()
        self._answered.register(self._socket, select.POLLIN)
        self._writable.register(self._socket, select.POLLOUT)

    def close(self) -> None:
        """What was sent and not answered may still happen."""
        self._connection.disconnect()

    def integer(self, deadline: float, *command: str | bytes | int) -> int:
        """Redis's answer to a command that gives a number, by ``deadline`` (``time.monotonic``).

        ResponseError when Redis refuses, Disconnected when it has gone, TimeoutError when it does not answer.
        """
        try:
            self._send(b"".join(self._connection.pack_command(*command)), deadline)
            answer = self._line(deadline)
        except OSError as error:
            raise Disconnected(f"Redis closed the connection: {error}") from error
        if not answer.startswith(b":"):
            raise ResponseError(answer.decode(errors="replace").strip())
        return int(answer[1:])

    def _send(self, data: bytes, deadline: float) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except WOULD_BLOCK:
                _wait(self._writable, deadline)

    def _line(self, deadline: float) -> bytes:
        line = b""
        while not line.endswith(END):
            _wait(self._answered, deadline)
            try:
                received = self._socket.recv(RECEIVE_BYTES)
            except WOULD_BLOCK:  # part of a TLS record
                continue
            if not received:
                raise Disconnected("Redis closed the connection")
            line += received
        return line


def _wait(poll: "select.poll", deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * MS_PER_SECOND):
        raise RedisTimeoutError("Redis did not answer in time")
