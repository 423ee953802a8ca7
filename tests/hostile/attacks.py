"""Attacks of clients without the secret, on loopback: each opens connections of its own and holds them.

An attack is a coroutine function of (port, connections, until); ``until`` is a time of the running loop.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable

HEAD = b"POST /webhook HTTP/1.1\r\nHost: here\r\n"
FORGED = b"X-Hub-Signature-256: sha256=" + b"0" * 64 + b"\r\n"
LARGE_BYTES = 3 * 1024 * 1024
PART = b"x" * 65_536
PAUSE_SECONDS = 0.5

Attack = Callable[[int, int, float], Awaitable[None]]


def _repeat(connections: int, until: float, once: Callable[[], Awaitable[None]]) -> Awaitable[None]:
    """Run ``once`` on so many connections at a time, again whenever the server has closed one."""

    async def one() -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            try:
                async with asyncio.timeout_at(until):
                    await once()
            except (OSError, TimeoutError):
                await asyncio.sleep(PAUSE_SECONDS / 10)

    async def all_of_them() -> None:
        await asyncio.gather(*(one() for _ in range(connections)))

    return all_of_them()


async def _connect(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    except BaseException:
        client.close()
        raise
    return client


async def _send(port: int, first: bytes, more: bytes = b"", pause: float = 0, times: int = 1_000_000) -> None:
    """Send and read nothing, until the server closes the connection."""
    loop = asyncio.get_running_loop()
    with await _connect(port) as client:
        await loop.sock_sendall(client, first)
        for _ in range(times):
            if not more:
                break
            await loop.sock_sendall(client, more)
            await asyncio.sleep(pause)
        while await loop.sock_recv(client, 1):
            await asyncio.sleep(PAUSE_SECONDS)


def pipelining(port: int, connections: int, until: float) -> Awaitable[None]:
    """Requests of 20 bytes without end, whose answers nobody reads."""
    return _repeat(connections, until, lambda: _send(port, b"", b"GET /x HTTP/1.1\r\nHost:a\r\n\r\n" * 2_000))


def slow_heads(port: int, connections: int, until: float) -> Awaitable[None]:
    """A header a little at a time."""
    return _repeat(connections, until, lambda: _send(port, HEAD, b"a:b\r\n", PAUSE_SECONDS))


def many_headers(port: int, connections: int, until: float) -> Awaitable[None]:
    """Small headers, as fast as they go, in a head that does not end."""
    return _repeat(connections, until, lambda: _send(port, HEAD, b"a:b\r\n" * 95 + b"c:d\r\n", 1.0))


def slow_bodies(port: int, connections: int, until: float) -> Awaitable[None]:
    """A large body of which 256 kB come at once, then a byte at a time."""
    head = HEAD + FORGED + b"Content-Length: %d\r\n\r\n" % LARGE_BYTES
    return _repeat(connections, until, lambda: _send(port, head + PART * 4, b"x", PAUSE_SECONDS))


def chunks(port: int, connections: int, until: float) -> Awaitable[None]:
    """A body in chunks that does not end."""
    head = HEAD + FORGED + b"Transfer-Encoding: chunked\r\n\r\n"
    return _repeat(connections, until, lambda: _send(port, head, b"1000\r\n" + PART[:4096] + b"\r\n", 0.1))


def large_bodies(port: int, connections: int, until: float) -> Awaitable[None]:
    """Whole bodies of 3 MiB, one after the other, under a forged signature."""
    head = HEAD + FORGED + b"Content-Length: %d\r\n\r\n" % LARGE_BYTES
    return _repeat(connections, until, lambda: _send(port, head, PART, 0.02, LARGE_BYTES // len(PART)))


def slow_readers(port: int, connections: int, until: float) -> Awaitable[None]:
    """Requests whose answers are read a byte at a time."""
    return _repeat(
        connections, until, lambda: _send(port, b"", (HEAD + b"Content-Length: 0\r\n\r\n") * 8, 0.2)
    )


def flood(port: int, connections: int, until: float) -> Awaitable[None]:
    """Connections one after the other, as fast as they are answered, each with one unsigned post.

    None waits until the server closes it, which would be in PARK_SECONDS.
    """
    post = HEAD + FORGED + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"

    async def once() -> None:
        loop = asyncio.get_running_loop()
        with await _connect(port) as client:
            await loop.sock_sendall(client, post)
            await loop.sock_recv(client, 65_536)

    return _repeat(connections, until, once)


ATTACKS: tuple[Attack, ...] = (
    pipelining, slow_heads, many_headers, slow_bodies, chunks, large_bodies, slow_readers, flood,
)  # fmt: skip


async def all_at_once(port: int, connections: int, seconds: float) -> None:
    """Run every attack for so long, with an equal share of the connections."""
    until = asyncio.get_running_loop().time() + seconds
    share = connections // len(ATTACKS)
    await asyncio.gather(*(attack(port, share, until) for attack in ATTACKS))
