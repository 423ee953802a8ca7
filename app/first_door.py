"""The first door: a body into the journal and its task into the queue, in one write to Redis.

What it relies on: with ``appendfsync always`` Redis answers after the write is on disk. What it cannot
see: a write that timed out may still have happened; the same ids in both stores do no harm.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from app import delivery_id, envelope, redis_checks
from app.connections import web_redis
from app.kept_connection import Disconnected, KeptConnection
from app.probe import Probe
from app.redis_keys import JOURNAL, JOURNAL_INDEX
from config.celery import WEBHOOKS
from config.settings import settings

# It goes along with each write: Redis knows it by its text, and nothing is to be done when it has lost it
SCRIPT = Path(__file__).with_name("accept.lua").read_text(encoding="utf-8")
NS_PER_SECOND = 1_000_000_000
NS_PER_US = 1_000

Command = list[str | bytes | int]

_inspected = threading.Event()


def inspect() -> None:
    """Look once at how Redis keeps what it is given, and at its clock.

    UnsafeJournal where it must not be used (in production mode), RedisError where it does not answer.
    """
    redis_checks.inspect(web_redis(), production=settings().neverdrop_env == "production")
    asked = delivery_id.local_ns()
    seconds, microseconds = web_redis().time()
    _hear(seconds * NS_PER_SECOND + microseconds * NS_PER_US, asked)
    _inspected.set()


def answers() -> None:
    """RedisError when Redis does not answer."""
    web_redis().ping()


class FirstDoor:
    """Writes over one connection that it keeps; one write at a time."""

    def __init__(self) -> None:
        self._connection: KeptConnection | None = None
        # In a thread of its own, so that no name lookup or handshake outlasts the bound
        self._connecting: Probe[KeptConnection] = Probe()

    def write(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """All of ``deliveries`` (id, body) on disk in the journal, and one task for them.

        Else RedisError, OSError or UnsafeJournal, and that within the timeout of ``web_redis``, whatever Redis
        does; it may then have been written nevertheless.
        """
        client = web_redis()
        seconds: float = client.get_connection_kwargs()["socket_timeout"]
        command = _command(deliveries)
        deadline = (
            time.monotonic() + seconds
        )  # from here on: a body of 3 MiB takes its time to be written down
        kept = self._connection
        if kept is not None and kept.client is client:
            # Disconnected perhaps long ago, by a Redis that was restarted; what is written twice does no harm
            with suppress(Disconnected):
                self._send(kept, command, deadline)
                return
        left = max(0.0, deadline - time.monotonic())
        self._send(self._connecting.ask(self._connect, left), command, deadline)

    def _send(self, connection: KeptConnection, command: Command, deadline: float) -> None:
        asked = delivery_id.local_ns()
        try:
            microseconds = connection.integer(deadline, *command)
        except BaseException:
            self._connection = None
            connection.close()
            raise
        _hear(microseconds * NS_PER_US, asked)

    def _connect(self) -> KeptConnection:
        if not _inspected.is_set():
            inspect()  # Redis was away when this process started
        self._connection = KeptConnection(web_redis())  # when it comes late, it is there for the next write
        return self._connection


def _command(deliveries: Sequence[tuple[str, bytes]]) -> Command:
    command: Command = ["EVAL", SCRIPT, 3, JOURNAL, JOURNAL_INDEX, WEBHOOKS]
    command.append(envelope.ingest_message(deliveries))
    for delivery in deliveries:
        command += delivery
    for id_, _ in deliveries:
        command += delivery_id.accepted_ms(id_), id_
    return command


def _hear(redis_ns: int, asked_ns: int) -> None:
    delivery_id.ids.hear(redis_ns, asked_ns, delivery_id.local_ns())


door = FirstDoor()  # this process's
write = door.write
