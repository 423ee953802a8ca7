"""A connection to Redis that stays open, for one command at a time whose answer is a number.

redis-py opens it (name, TLS, user, database); from then on its socket is used directly, since redis-py's own way to
one number costs several times the rest of a write. It relies on a private attribute of redis-py, which is pinned.
Whoever uses it bounds how long it waits.
"""

import asyncio
from typing import Any

from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

END = b"\r\n"


class Disconnected(RedisConnectionError):
    """Redis, or something between, has closed the connection."""


class KeptConnection(asyncio.Protocol):
    """Takes ``connection`` over, which must be open. After any error it must not be used again."""

    def __init__(self, connection: Connection) -> None:
        self._redis_py = connection
        self._transport: Any = connection._writer.transport  # type: ignore[union-attr]
        self._transport.set_protocol(self)
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""

    async def integer(self, command: bytes) -> int:
        """Redis's answer to a packed command. ResponseError when Redis refuses, Disconnected when it has gone."""
        if self._transport.is_closing():
            raise Disconnected("Redis closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(command)
        answer = await self._answer
        if not answer.startswith(b":"):
            raise ResponseError(answer.decode(errors="replace").strip())
        return int(answer[1:])

    async def close(self) -> None:
        """At once; what was sent and not answered may still happen."""
        self._transport.abort()
        await self._redis_py.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(END) and self._answer is not None and not self._answer.done():
            self._answer.set_result(self._received)
            self._received = b""

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(
                Disconnected(f"Redis closed the connection: {error or 'without a word'}")
            )
