"""Send commands whose reply is a number over one open connection to Redis.

redis-py opens the connection (name, TLS, user, database); after that its socket is used directly, because parsing a
reply the way redis-py does costs several times as much as the rest of a write. This uses a private attribute of
redis-py, whose version is pinned. There is no timeout here: the caller sets one.
"""

import asyncio
from typing import Any

from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

LINE_END = b"\r\n"


class Disconnected(RedisConnectionError):
    """Redis, or something between, has closed the connection."""


class PinnedConnection(asyncio.Protocol):
    """Takes over an open redis-py connection, for one command at a time. Do not use it again after an error."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._transport: Any = connection._writer.transport  # type: ignore[union-attr]
        self._transport.set_protocol(self)
        self._reply: asyncio.Future[bytes] | None = None
        self._received = b""

    async def integer(self, command: bytes) -> int:
        """Send a packed command and return Redis's reply.

        Raises ResponseError when Redis refuses the command, Disconnected when the connection is closed.
        """
        if self._transport.is_closing():
            raise Disconnected("Redis closed the connection")
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(command)
        reply = await self._reply
        if not reply.startswith(b":"):
            raise ResponseError(reply.decode(errors="replace").strip())
        return int(reply[1:])

    async def close(self) -> None:
        """Close at once; a command that was sent without a reply may still be run."""
        self._transport.abort()
        await self._connection.disconnect(nowait=True)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(LINE_END) and self._reply is not None and not self._reply.done():
            self._reply.set_result(self._received)
            self._received = b""

    def connection_lost(self, error: Exception | None) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(
                Disconnected(f"Redis closed the connection: {error or 'without an error'}")
            )
