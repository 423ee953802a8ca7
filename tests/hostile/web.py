"""The web's own server and routes in this process, with an intake that keeps what it accepts in a list."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from unittest.mock import patch

import pytest
import uvicorn

from app.web import parking, process, webhook
from app.web.http_guard import GuardedProtocol
from config.settings import settings
from tests.helpers.factories import APP_SECRET

PATIENCE_SECONDS = 20
ENVIRONMENT = {
    "NEVERDROP_ENV": "development",
    "WHATSAPP_APP_SECRET": APP_SECRET,
    "WHATSAPP_VERIFY_TOKEN": "token",
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",
}


@dataclass
class Web:
    """Where it listens, and the bodies that it has answered with 200."""

    port: int
    accepted: list[bytes] = field(default_factory=list)

    async def store_body(self, body: bytes) -> None:
        self.accepted.append(body)


@contextmanager
def open_web(park_seconds: float = 0) -> Iterator[Web]:
    """Serve on a free port until the block ends; refused connections are parked for so long."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        settings.cache_clear()
        listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        web = Web(listening.getsockname()[1])
        config = uvicorn.Config(
            process.gateway(process.create_app()),
            http=GuardedProtocol, loop="app.web.event_loop:Loop", ws="none", lifespan="off",
            log_config=None, log_level="critical",
        )  # fmt: skip
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        parked = patch.object(parking, "PARK_SECONDS", park_seconds)
        with patch.object(webhook, "store_body", web.store_body), parked:
            thread.start()
            try:
                yield web
            finally:
                server.should_exit = server.force_exit = True
                thread.join()
    settings.cache_clear()


def exchange(port: int, sent: bytes, in_bytes: bool = False) -> bytes:
    """Send on a connection of its own, at once or byte by byte; return all that comes until the server closes it."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        try:
            for index in range(len(sent)) if in_bytes else ():
                client.sendall(sent[index : index + 1])
            if not in_bytes:
                client.sendall(sent)
        except (BrokenPipeError, ConnectionResetError):  # it has been refused already
            pass
        try:
            while part := client.recv(65_536):
                received += part
        except ConnectionResetError:  # closed before all that was sent had been read
            pass
    return received
