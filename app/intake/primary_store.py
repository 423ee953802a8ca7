"""The first door: a body into the journal and its task into the queue, in one write to Redis.

What it relies on: with ``appendfsync always`` Redis answers after the write is on disk. What it cannot
see: a write that timed out may still have happened; the same ids in both stores do no harm.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hiredis

from app.broker import envelope
from app.intake.pinned_connection import Disconnected, KeptConnection
from app.stores import (
    JOURNAL,
    JOURNAL_INDEX,
    connections,
    delivery_id,
    redis_checks,
    web_connection,
    web_redis,
)
from config.celery import WEBHOOKS
from config.settings import settings

# It goes along with each write: Redis knows it by its text, and nothing is to be done when it has lost it
SCRIPT = Path(__file__).with_name("accept.lua").read_text(encoding="utf-8")
NS_PER_SECOND = 1_000_000_000
NS_PER_US = 1_000

_durability_checked = threading.Event()


def check_durability() -> None:
    """Look once at how Redis keeps what it is given, and at its clock.

    UnsafeJournal where it must not be used (in production mode), RedisError where it does not answer.
    """
    redis_checks.check_durability(web_redis(), production=settings().neverdrop_env == "production")
    asked = delivery_id.local_ns()
    seconds, microseconds = web_redis().time()
    _record_server_time(seconds * NS_PER_SECOND + microseconds * NS_PER_US, asked)
    _durability_checked.set()


def ping() -> None:
    """RedisError when Redis does not answer."""
    web_redis().ping()


class FirstDoor:
    """Writes over one connection that it keeps; one write at a time, on one event loop."""

    def __init__(self) -> None:
        self._connection: KeptConnection | None = None
        self._connecting: asyncio.Task[KeptConnection] | None = None

    async def write(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """All of ``deliveries`` (id, body) on disk in the journal, and one task for them.

        Else RedisError, OSError, TimeoutError or UnsafeJournal, and that within WEB_REDIS_TIMEOUT_SECONDS, whatever
        Redis does; it may then have been written nevertheless.
        """
        command = hiredis.pack_command(_command(deliveries))
        # From here on: a body of 3 MiB takes its time to be written down
        async with asyncio.timeout(connections.WEB_REDIS_TIMEOUT_SECONDS):
            if self._connection is not None:
                # Closed perhaps long ago, by a Redis that was restarted; what is written twice does no harm
                with suppress(Disconnected):
                    await self._send(self._connection, command)
                    return
            await self._send(await self._connected(), command)

    @property
    def is_open(self) -> bool:
        """Whether a connection is kept."""
        return self._connection is not None

    async def close(self) -> None:
        """The next write connects anew."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _send(self, connection: KeptConnection, command: bytes) -> None:
        asked = delivery_id.local_ns()
        try:
            microseconds = await connection.integer(command)
        except BaseException:
            await self.close()
            raise
        _record_server_time(microseconds * NS_PER_US, asked)

    async def _connected(self) -> KeptConnection:
        """A new connection. When it comes too late for this write, it is there for the next one."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_heard)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> KeptConnection:
        try:
            if not _durability_checked.is_set():
                await asyncio.to_thread(check_durability)  # Redis was away when this process started
            connection = web_connection()
            await connection.connect()  # type: ignore[no-untyped-call]
        finally:
            self._connecting = None
        self._connection = KeptConnection(connection)
        return self._connection


def _heard(connecting: "asyncio.Task[KeptConnection]") -> None:
    """Its failure was told to whoever still waited for it."""
    if not connecting.cancelled():
        connecting.exception()


def _command(deliveries: Sequence[tuple[str, bytes]]) -> Any:
    command: list[Any] = ["EVAL", SCRIPT, 3, JOURNAL, JOURNAL_INDEX, WEBHOOKS]
    command.append(envelope.ingest_message(deliveries))
    for delivery in deliveries:
        command += delivery
    for id_, _ in deliveries:
        command += delivery_id.accepted_ms(id_), id_
    return tuple(command)


def _record_server_time(redis_ns: int, asked_ns: int) -> None:
    delivery_id.ids.sync_clock(redis_ns, asked_ns, delivery_id.local_ns())


door = FirstDoor()  # this process's
write = door.write
