"""A Valkey that a test may stop, fill or configure."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from sqlalchemy import select

from app.dev.processes.children import Records, Running, end
from app.dev.stack.embedded import Server, free_port, launch, valkey
from app.stores import connections
from app.stores.models import Delivery
from app.stores.redis_keys import JOURNAL
from tests.helpers import services as servers

PATIENCE_SECONDS = 20


class Valkey:
    """A server of the test's own, so that it may be stopped and killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = Records(path / "processes")
        self.server: Server = valkey(path / "valkey", servers.PASSWORD, port=free_port())
        self.running: Running = self._launch()
        self.client: Any = Redis.from_url(self.server.url)

    def _launch(self) -> Running:
        return launch(self.server, self._records, self._path)

    def kill(self) -> None:
        self.running.send(signal.SIGKILL)
        end([self.running])

    def start(self) -> None:
        self.running = self._launch()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.running.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.running.send(signal.SIGCONT)


def journal(own: Valkey) -> dict[str, bytes]:
    return {key.decode(): body for key, body in own.client.hgetall(JOURNAL).items()}


def stored() -> list[Delivery]:
    with connections.engine().connect() as connection:
        return list(connection.execute(select(Delivery.__table__).order_by(Delivery.id)))  # type: ignore[arg-type]
