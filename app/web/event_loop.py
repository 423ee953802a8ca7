"""uvloop's event loop, with a server that accepts many connections in one turn of the loop.

uvloop accepts one connection a turn. Under a flood each turn has much to do, so connections would wait in the kernel's
queue for many seconds: an honest sender's too. uvicorn's ``--loop`` names this class: https://www.uvicorn.org/settings/.
"""

import errno
import resource
import socket
from collections.abc import Callable
from typing import Any

import uvloop

MAX_ACCEPTED = 256  # connections in one turn
PAUSE_SECONDS = 0.5  # before the next, where the process may open no more files
MAX_FILES = 65_536
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

ProtocolFactory = Callable[[], Any]


def allow_files() -> None:
    """Let the process open as many files as it may: the usual 1,024 are fewer than an attacker's connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class ListeningServer:
    """What a server is to uvicorn: ``sockets``, and how it is closed."""

    def __init__(self, loop: "Loop", listening: socket.socket, factory: ProtocolFactory) -> None:
        listening.setblocking(False)
        self.sockets = [listening]
        self._loop = loop
        self._listening = listening
        self._factory = factory
        self._connecting: set[Any] = set()  # a loop keeps no task alive by itself
        self._start()

    def _start(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.add_reader(self._listening, self._accept)

    def _accept(self) -> None:
        for _ in range(MAX_ACCEPTED):
            try:
                accepted, _address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno in EXHAUSTED:  # looking again at once would take all of the processor
                    self._loop.remove_reader(self._listening)
                    self._loop.call_later(PAUSE_SECONDS, self._start)
                return
            accepted.setblocking(False)
            self._connect(accepted)

    def _connect(self, accepted: socket.socket) -> None:
        connecting = self._loop.create_task(self._open(accepted))
        self._connecting.add(connecting)
        connecting.add_done_callback(self._connecting.discard)

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._factory, accepted)
        except OSError:  # its client has gone already
            accepted.close()

    def close(self) -> None:
        """Accept no more; connections go on."""
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)
            self._listening.close()

    async def wait_closed(self) -> None:
        """Return at once: uvicorn itself waits for its connections."""


class Loop(uvloop.Loop):
    """uvloop's, whose servers of TCP without TLS accept many connections in a turn."""

    async def create_server(  # type: ignore[override]  # the arguments that uvicorn gives
        self,
        protocol_factory: ProtocolFactory,
        host: str | None = None,
        port: int | None = None,
        *,
        sock: socket.socket | None = None,
        backlog: int = 2048,
        **options: Any,
    ) -> Any:
        if options.get("ssl") is not None or (sock is not None and sock.family == socket.AF_UNIX):
            create: Any = super().create_server
            return await create(protocol_factory, host, port, sock=sock, backlog=backlog, **options)
        if sock is None:
            family = socket.AF_INET6 if host and ":" in host else socket.AF_INET
            sock = socket.create_server((host or "", port or 0), family=family, backlog=backlog)
        else:
            sock.listen(backlog)
        allow_files()
        return ListeningServer(self, sock, protocol_factory)
