"""A network between a process and a store that can forget: connections stay open, and nothing arrives any more.

What the relay swallows is acknowledged by its kernel, as by a load balancer whose other side is gone. So it is found
out by nothing but a wait that ends; TCP's own keepalive sees a peer that is well.
"""

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

CHUNK = 65_536


@dataclass(eq=False)
class _Link:
    """One connection: two sockets, and whether what arrives on one leaves by the other."""

    near: socket.socket
    far: socket.socket
    forgotten: bool = False
    deaf: bool = False  # what the far side says is swallowed

    def carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if not self.forgotten and not (self.deaf and source is self.far):
                    target.sendall(data)
        if not self.forgotten:
            self.close()

    def close(self) -> None:
        for end in (self.near, self.far):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass(eq=False)
class Relay:
    """Listens on ``port`` of the loopback interface, and carries each connection to a Unix socket or a port."""

    target: str | tuple[str, int]
    silent: bool = False  # new connections are swallowed from their first byte on
    deaf: bool = False  # of new connections the answers are swallowed, not the requests
    _links: list[_Link] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in self._links:
            link.close()

    def swallow(self) -> int:
        """Swallow whatever is sent on the connections of now, in both directions; how many there were."""
        open_links = [link for link in self._links if not link.forgotten and link.near.fileno() != -1]
        for link in open_links:
            link.forgotten = True
        return len(open_links)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                self._carry(near)

    def _carry(self, near: socket.socket) -> None:
        try:
            far = self._connect()
        except OSError:  # the store is away: as if nobody listened
            near.close()
            return
        link = _Link(near, far, forgotten=self.silent, deaf=self.deaf)
        self._links.append(link)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=link.carry, args=(source, target), daemon=True).start()

    def _connect(self) -> socket.socket:
        if isinstance(self.target, tuple):
            return socket.create_connection(self.target)
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.target)
        except OSError:
            far.close()
            raise
        return far
