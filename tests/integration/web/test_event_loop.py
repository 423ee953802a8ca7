"""The event loop's server: how many connections it accepts in a turn, and what it does when it can open no more."""

import asyncio
import errno
import resource
import socket
from typing import Any

import pytest
import uvloop

from app.web.event_loop import Loop

CLIENTS = 100
PATIENCE_SECONDS = 20


class Counted(asyncio.Protocol):
    """Notes in which turn of the loop it was connected, and answers what it is sent."""

    turn = 0
    connected: list[int] = []  # noqa: RUF012  (of the test that runs)

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.connected.append(Counted.turn)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Full(socket.socket):
    """A listening socket of a process that may open no more files, for a while."""

    failures = 3

    def accept(self) -> Any:
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


async def count_turns() -> None:
    while True:
        Counted.turn += 1
        await asyncio.sleep(0)


async def turns_of_a_flood(listening: socket.socket) -> int:
    """Return over how many turns connections were spread that all waited for the first one."""
    Counted.connected = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Counted, sock=listening)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(CLIENTS)]  # blocks the loop
    counting = loop.create_task(count_turns())
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(Counted.connected) < CLIENTS:
            await asyncio.sleep(0)
    counting.cancel()
    server.close()
    for client in clients:
        client.close()
    return max(Counted.connected) - min(Counted.connected)


def test_connections_that_wait_are_accepted_in_one_turn() -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        ours = runner.run(turns_of_a_flood(socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)))
    with asyncio.Runner(loop_factory=uvloop.Loop) as runner:
        plain = runner.run(turns_of_a_flood(socket.create_server(("127.0.0.1", 0), backlog=CLIENTS)))
    assert ours < 10
    assert plain >= CLIENTS - 1  # what this is for


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_host_and_a_port_are_enough(host: str) -> None:
    async def exchange() -> bytes:
        server = await asyncio.get_running_loop().create_server(Counted, host, 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        server.close()
        await server.wait_closed()
        return answer

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(exchange()) == b"hello"


def test_a_process_that_may_open_no_more_files_accepts_later() -> None:
    async def exchange() -> bytes:
        listening = Full(socket.AF_INET, socket.SOCK_STREAM)
        listening.bind(("127.0.0.1", 0))
        server = await asyncio.get_running_loop().create_server(Counted, sock=listening)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
        writer.write(b"hello")
        answer = await reader.readexactly(5)
        writer.close()
        server.close()
        assert listening.failures == 0
        return answer

    with asyncio.Runner(loop_factory=Loop) as runner:
        assert runner.run(exchange()) == b"hello"


def test_a_server_raises_its_limit_of_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def serve() -> int:
        (await asyncio.get_running_loop().create_server(Counted, "127.0.0.1", 0)).close()
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        with asyncio.Runner(loop_factory=Loop) as runner:
            assert runner.run(serve()) > 512
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
