"""The network between each process and each store, in a process of its own: it carries, swallows and leads astray.

A route is a port of the loopback interface for one such pair. What is swallowed is acknowledged by the kernel, as by
a load balancer whose other side is gone: only a wait that ends finds it out. The store's own keepalive, which would
miss such a client, is stood in for: its side is closed after SERVER_GIVES_UP_SECONDS.
"""

import asyncio
import multiprocessing
import struct
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import uvloop

CHUNK = 65_536
SERVER_GIVES_UP_SECONDS = 25
START_SECONDS = 30
HEADER = struct.Struct("!II")  # of Postgres's first packet: its length, and what it asks for
SSL, GSS, CANCEL = 80877103, 80877104, 80877102
NO_ENCRYPTION = b"N"
READS_ONLY = b" -c default_transaction_read_only=on"


class Network:
    """The routes by their names, for the process that injects the faults."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        """Begin: ``targets`` are the sockets of the stores."""
        context = multiprocessing.get_context("spawn")
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, dict(targets)), daemon=True)
        self._process.start()
        theirs.close()
        if not self._orders.poll(START_SECONDS):
            raise TimeoutError("the network did not come up")
        self.ports: dict[str, int] = self._orders.recv()

    def swallow(self, names: Iterable[str]) -> None:
        """Swallow what comes on every connection of now, without a word to either side."""
        self._orders.send(("swallow", list(names), True))

    def close(self, names: Iterable[str]) -> None:
        """Close every connection of now."""
        self._orders.send(("close", list(names), True))

    def set_silent(self, names: Iterable[str], value: bool) -> None:
        """Swallow new connections too."""
        self._orders.send(("silent", list(names), value))

    def set_read_only(self, names: Iterable[str], value: bool) -> None:
        """Let new sessions of Postgres read only, for as long as they are open."""
        self._orders.send(("read_only", list(names), value))

    def end(self) -> None:
        self._orders.close()
        self._process.join()


@dataclass(eq=False)
class _Link:
    """One connection, by its two ends, and whether what arrives at one leaves by the other."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter
    swallowed: bool = False

    def swallow(self) -> None:
        self.swallowed = True
        asyncio.get_running_loop().call_later(SERVER_GIVES_UP_SECONDS, self.far.transport.abort)

    def close(self) -> None:
        self.near.transport.abort()
        self.far.transport.abort()

    async def carry(
        self, reader: asyncio.StreamReader, own: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if not self.swallowed:
                    other.write(data)
                    await other.drain()
        own.transport.abort()
        if not self.swallowed:
            other.transport.abort()


@dataclass(eq=False)
class _Route:
    target: str
    silent: bool = False
    read_only: bool = False
    links: set[_Link] = field(default_factory=set)

    async def accept(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        try:
            far_reader, far = await asyncio.open_unix_connection(self.target)
        except OSError:  # the store is away: as if nobody listened
            near.transport.abort()
            return
        link = _Link(near, far)
        self.links.add(link)
        try:
            if self.silent:
                link.swallow()
            elif self.read_only:
                await _lead_astray(reader, near, far_reader, far)
            await asyncio.gather(link.carry(reader, near, far), link.carry(far_reader, far, near))
        except (OSError, EOFError):
            link.close()
        finally:
            self.links.discard(link)

    def obey(self, order: str, value: bool) -> None:
        links = [link for link in self.links if not link.swallowed]
        if order == "silent":
            self.silent = value
        elif order == "read_only":
            self.read_only = value
        for link in links:
            if order == "swallow":
                link.swallow()
            elif order == "close":
                link.close()


async def _lead_astray(
    reader: asyncio.StreamReader,
    near: asyncio.StreamWriter,
    far_reader: asyncio.StreamReader,
    far: asyncio.StreamWriter,
) -> None:
    """Carry the beginning of a session with Postgres, and add to its options that it reads only.

    As if its name had led to a standby: the session stays what it is when the others may write again.
    """
    while True:
        header = await reader.readexactly(HEADER.size)
        length, code = HEADER.unpack(header)
        rest = await reader.readexactly(length - HEADER.size)
        if code not in (SSL, GSS):
            break
        far.write(header + rest)
        answer = await far_reader.readexactly(1)
        near.write(answer)
        if answer != NO_ENCRYPTION:
            return
    far.write(header + rest if code == CANCEL else _startup(code, rest))


def _startup(version: int, rest: bytes) -> bytes:
    """Return Postgres's startup packet, with one more option."""
    words = rest.rstrip(b"\0").split(b"\0")
    parameters = dict(zip(words[::2], words[1::2], strict=True))
    parameters[b"options"] = parameters.get(b"options", b"") + READS_ONLY
    body = b"".join(name + b"\0" + value + b"\0" for name, value in parameters.items()) + b"\0"
    return HEADER.pack(HEADER.size + len(body), version) + body


def _serve(orders: Connection, targets: dict[str, str]) -> None:
    with suppress(KeyboardInterrupt):
        uvloop.run(_carry_all(orders, targets))


async def _carry_all(orders: Connection, targets: dict[str, str]) -> None:
    """Listen on every route until the parent ends or closes the pipe."""
    routes = {name: _Route(target) for name, target in targets.items()}
    servers = {
        name: await asyncio.start_server(route.accept, "127.0.0.1", 0, limit=CHUNK)
        for name, route in routes.items()
    }
    orders.send({name: server.sockets[0].getsockname()[1] for name, server in servers.items()})
    over = asyncio.Event()

    def obey() -> None:
        try:
            order, names, value = orders.recv()
        except EOFError:
            over.set()
            return
        for name in names:
            routes[name].obey(order, value)

    loop = asyncio.get_running_loop()
    loop.add_reader(orders.fileno(), obey)
    await over.wait()
    loop.remove_reader(orders.fileno())
    for route in routes.values():
        for link in list(route.links):
            link.close()
