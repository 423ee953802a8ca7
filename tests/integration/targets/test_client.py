"""Posting over real sockets: kept connections, ends to every wait, and no way to where nothing may be sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpcore
import pytest

from app.targets.answers import TargetAnswer
from app.targets.client import MAX_ANSWER_BYTES, AddressRules, TargetClient, resolve
from app.targets.reading import MAX_READ_BYTES
from tests.helpers.targets import target

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PRIVATE = AddressRules(private_allowed=True)
SOCKET_BYTES = 16 * 1024 * 1024  # at most, that both ends' sockets hold


@asynccontextmanager
async def server(answer: Answer) -> AsyncIterator[int]:
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await answer(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def says(answer: bytes, seen: list[bytes] | None = None) -> Answer:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await read_request(reader)
                if seen is not None:
                    seen.append(request)
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    return serve


def ok(body: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


async def post(port: int, times: int = 1, **more: object) -> list[TargetAnswer]:
    client = TargetClient(target(f"http://127.0.0.1:{port}/in?x=1", **more), PRIVATE)
    try:
        return [
            await client.post({"Content-Length": "2", "webhook-id": "evt_1_crm"}, "{}") for _ in range(times)
        ]
    finally:
        await client.close()


def test_a_request_arrives_as_it_was_signed() -> None:
    seen: list[bytes] = []

    async def run() -> list[TargetAnswer]:
        async with server(says(ok(b"thanks"), seen)) as port:
            return await post(port)

    (answer,) = asyncio.run(run())
    assert (answer.status, answer.body, answer.is_done) == (200, b"thanks", True)
    assert seen[0].startswith(b"POST /in?x=1 HTTP/1.1\r\n")
    assert b"webhook-id: evt_1_crm" in seen[0]


def test_connections_are_kept() -> None:
    opened = []

    async def run() -> list[TargetAnswer]:
        inner = says(ok())

        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            opened.append(1)
            await inner(reader, writer)

        async with server(counted) as port:
            return await post(port, 5, concurrency=1)

    assert [answer.status for answer in asyncio.run(run())] == [200] * 5
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 503 No\r\nretry-after: 7\r\ncontent-length: 0\r\n\r\n", 503),
        (b"nonsense\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive", None),
    ],
)
def test_whatever_comes_back_is_an_answer(answer: bytes, status: int | None) -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer)
        writer.close()

    async def run() -> list[TargetAnswer]:
        async with server(cut) as port:
            return await post(port)

    (found,) = asyncio.run(run())
    assert found.status == status
    assert (found.error is None) == (status is not None)


def test_a_target_that_never_answers_has_its_end() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def run() -> list[TargetAnswer]:
        async with server(silent) as port:
            return await post(port, timeout_seconds=0.05)

    (answer,) = asyncio.run(run())
    assert answer.error == "not answered within 0.05 s"


def test_of_an_endless_answer_no_more_is_read() -> None:
    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            writer.close()

    async def run() -> list[TargetAnswer]:
        async with server(endless) as port:
            return await post(port)

    (answer,) = asyncio.run(run())
    assert not answer.whole
    assert MAX_ANSWER_BYTES < len(answer.body) < MAX_ANSWER_BYTES + 200_000


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "part", "status"),
    [(b"", b"HTTP/1.1 100 Continue\r\n\r\n", None), (CHUNKED, b"1\r\nx\r\n", 200)],
    ids=["interim answers", "chunks of one byte"],
)
def test_of_what_frames_an_answer_no_more_is_read_either(
    head: bytes, part: bytes, status: int | None
) -> None:
    sent = 0

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(head)
        with suppress(ConnectionError):
            while True:
                writer.write(part * 1000)
                await writer.drain()
                sent += 1000 * len(part)
        writer.close()

    async def run() -> list[TargetAnswer]:
        async with server(endless) as port:
            return await post(port, timeout_seconds=60)

    (answer,) = asyncio.run(run())
    assert answer.status == status
    assert not answer.whole or "no more was read" in (answer.error or "")
    assert sent < MAX_READ_BYTES + SOCKET_BYTES


def test_nobody_at_the_port_is_an_answer_too() -> None:
    async def run() -> list[TargetAnswer]:
        async with server(says(ok())) as port:
            pass
        return await post(port)

    (answer,) = asyncio.run(run())
    assert (answer.status, (answer.error or "").partition(":")[0]) == (None, "ConnectError")


def test_a_private_address_is_not_connected_to_unless_it_is_allowed() -> None:
    connected = []

    async def run() -> TargetAnswer:
        async def accepted(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.append(1)
            writer.close()

        async with server(accepted) as port:
            client = TargetClient(target(f"http://localhost:{port}/"), AddressRules())
            return await client.post({"Content-Length": "2"}, "{}")

    answer = asyncio.run(run())
    assert "set TARGETS_ALLOW_PRIVATE=true" in (answer.error or "")
    assert connected == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name that leads elsewhere at the second look (DNS rebinding) is looked at once."""
    looked = []

    async def run() -> TargetAnswer:
        loop = asyncio.get_running_loop()

        async def getaddrinfo(host: str, port: int, **_: object) -> list[object]:
            looked.append(host)
            address = "127.0.0.1" if len(looked) == 1 else "169.254.169.254"
            return [(2, 1, 6, "", (address, port))]

        async with server(says(ok())) as port:
            monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
            client = TargetClient(target(f"http://rebinding.example:{port}/"), PRIVATE)
            answer = await client.post({"Content-Length": "2"}, "{}")
            await client.close()
            return answer

    assert asyncio.run(run()).status == 200
    assert looked == ["rebinding.example"]


def test_a_name_with_one_address_that_is_refused_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async def getaddrinfo(_host: str, port: int, **_: object) -> list[object]:
            return [(2, 1, 6, "", (address, port)) for address in ("93.184.215.14", "169.254.169.254")]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        with pytest.raises(httpcore.ConnectError, match=r"refused: mixed\.example resolves to a link-local"):
            await resolve("mixed.example", 443, PRIVATE)

    asyncio.run(run())
