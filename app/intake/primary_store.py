"""The primary store: put bodies into the journal and their task into the queue, in one write to Redis.

With ``appendfsync always`` Redis replies after the write is on disk. A write that timed out may still have happened;
the same ids in both stores do no harm.
"""

import asyncio
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import hiredis
from sqlalchemy.exc import SQLAlchemyError

from app.broker import envelope
from app.errors import NeverdropError
from app.intake.pinned_connection import Disconnected, PinnedConnection
from app.stores import (
    JOURNAL,
    JOURNAL_INDEX,
    check_database,
    connections,
    delivery_id,
    postgres_wait,
    redis_checks,
    web_connection,
    web_engine,
    web_redis,
    with_prefix,
)
from config.celery import WEBHOOKS
from config.logging import describe, get_logger
from config.settings import settings

# Sent with EVAL each time, so a flushed script cache needs no handling
SCRIPT = Path(__file__).with_name("accept.lua").read_text(encoding="utf-8")
CHECK_SECONDS = 2.5  # for all that Postgres is asked
NS_PER_SECOND = 1_000_000_000
NS_PER_US = 1_000

log = get_logger(__name__)
_durability_checked = threading.Event()


def check_stores() -> None:
    """Check that Redis writes to disk before it replies, and sync the clock of delivery ids.

    Raises UnsafeJournal in production mode when Redis does not, RedisError when Redis does not answer.
    """
    redis_checks.check_durability(web_redis(), production=settings().neverdrop_env == "production")
    _check_database()
    asked = delivery_id.local_ns()
    seconds, microseconds = web_redis().time()
    _record_server_time(seconds * NS_PER_SECOND + microseconds * NS_PER_US, asked)
    _durability_checked.set()


def _check_database() -> None:
    """Raise UnsafeJournal if Redis is another database's. Skipped while Postgres is away: the next process asks."""
    try:
        with postgres_wait.until(time.monotonic() + CHECK_SECONDS), web_engine().connect() as connection:
            check_database(web_redis(), connection)
    except SQLAlchemyError as error:
        log.warning("database.unavailable", error=describe(error))


def ping() -> None:
    """Raise RedisError when Redis does not answer."""
    web_redis().ping()


class ClockSet(NeverdropError):
    """Redis's clock was set, or this process stopped, after the ids were given. New ones follow its clock."""


class PrimaryStore:
    """Writes over one pinned connection; one write at a time, on one event loop."""

    def __init__(self) -> None:
        self._connection: PinnedConnection | None = None
        self._connecting: asyncio.Task[PinnedConnection] | None = None

    async def write(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """Write all ``deliveries`` (id, body) to the journal, and one task that ingests them.

        Raises RedisError, OSError, TimeoutError or UnsafeJournal, at the latest after WEB_REDIS_TIMEOUT_SECONDS; the
        deliveries may be written nevertheless. ClockSet if they are not, since their ids are of another time.
        """
        command = hiredis.pack_command(_command(deliveries))
        # The timeout begins after packing: a body of 3 MiB takes several milliseconds
        async with asyncio.timeout(connections.WEB_REDIS_TIMEOUT_SECONDS):
            if self._connection is not None:
                # A restarted Redis has closed it: connect again. To write the same ids twice does no harm.
                with suppress(Disconnected):
                    await self._send(self._connection, command)
                    return
            await self._send(await self._connected(), command)

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def close(self) -> None:
        """Close the connection; the next write opens a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _send(self, connection: PinnedConnection, command: bytes) -> None:
        asked = delivery_id.local_ns()
        try:
            microseconds = await connection.integer(command)
        except BaseException:
            await self.close()
            raise
        _record_server_time(abs(microseconds) * NS_PER_US, asked)
        if microseconds < 0:
            raise ClockSet("Redis's clock is another one than that of these ids")

    async def _connected(self) -> PinnedConnection:
        """Return a new connection; if it opens too late for this write, the next write uses it."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_retrieve_exception)
        return await asyncio.shield(self._connecting)

    async def _connect(self) -> PinnedConnection:
        try:
            if not _durability_checked.is_set():
                await asyncio.to_thread(check_stores)  # Redis was away when this process started
            connection = web_connection()
            await connection.connect()  # type: ignore[no-untyped-call]
        finally:
            self._connecting = None
        self._connection = PinnedConnection(connection)
        return self._connection


def _retrieve_exception(connecting: "asyncio.Task[PinnedConnection]") -> None:
    """Mark the task's exception as retrieved: when every waiter has timed out, asyncio would log it."""
    if not connecting.cancelled():
        connecting.exception()


def _command(deliveries: Sequence[tuple[str, bytes]]) -> Any:
    command: list[Any] = ["EVAL", SCRIPT, 3, JOURNAL, JOURNAL_INDEX, WEBHOOKS]
    command.append(envelope.ingest_message(deliveries))
    for delivery in deliveries:
        command += delivery
    for id_, _ in deliveries:
        command += delivery_id.accepted_ms(id_), id_
    return with_prefix(settings().key_prefix, command)


def _record_server_time(redis_ns: int, asked_ns: int) -> None:
    delivery_id.ids.sync_clock(redis_ns, asked_ns, delivery_id.local_ns())


store = PrimaryStore()  # the one of this process
write = store.write
