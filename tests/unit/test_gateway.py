"""Requests on the loop: a view that waits keeps nobody waiting, and no body takes more memory than it may."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask, Response, request
from granian.rsgi import ProtocolClosed

from app import gateway
from app.gateway import Gateway, deferred

MOST_BYTES = 1_000
PATIENCE_SECONDS = 20


class Headers:
    """As granian gives them: pairs, a name perhaps more than once."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs = pairs

    def items(self) -> list[tuple[str, str]]:
        return list(self._pairs)

    def get(self, name: str) -> str | None:
        return dict(self._pairs).get(name)

    def __contains__(self, name: str) -> bool:
        return name in dict(self._pairs)


@dataclass
class Scope:
    method: str = "POST"
    path: str = "/on-loop"
    query_string: str = ""
    server: str = "127.0.0.1:8000"
    client: str = "127.0.0.1:50000"
    scheme: str = "http"
    headers: Headers = field(default_factory=Headers)


class Protocol:
    """One request's body, in parts, and its answer."""

    def __init__(self, *parts: bytes, error: Exception | None = None) -> None:
        self._parts = parts
        self._error = error
        self.taken = 0
        self.answer: tuple[Any, ...] = ()

    async def __call__(self) -> bytes:
        if self._error is not None:
            raise self._error
        return b"".join(self._parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.taken += 1
            await asyncio.sleep(0)
            yield part
        if self._error is not None:
            raise self._error

    def response_bytes(self, *answer: Any) -> None:
        self.answer = answer

    def response_empty(self, *answer: Any) -> None:
        self.answer = (*answer, b"")


@pytest.fixture
def app() -> Flask:
    app = Flask(__name__)

    @app.post("/on-loop")
    @app.post("/in-thread")
    def echo() -> Response:
        return Response(
            request.environ["wsgi.input"].read(), headers={"Thread": threading.current_thread().name}
        )

    return app


@pytest.fixture
def served(app: Flask) -> Gateway:
    return Gateway(app, on_loop=[("POST", "/on-loop"), ("POST", "/later")], most_bytes=MOST_BYTES)


def ask(served: Gateway, scope: Scope, protocol: Protocol) -> tuple[Any, ...]:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await served.__rsgi__(scope, protocol)

    asyncio.run(bounded())
    return protocol.answer


def sized(content: bytes) -> Headers:
    return Headers(("content-length", str(len(content))))


CHUNKED = Headers(("transfer-encoding", "chunked"))


def test_a_view_gets_the_body_whole(served: Gateway) -> None:
    assert ask(served, Scope(headers=sized(b"abc")), Protocol(b"a", b"bc"))[::2] == (200, b"abc")
    assert ask(served, Scope(headers=CHUNKED), Protocol(b"a", b"bc"))[::2] == (200, b"abc")
    assert ask(served, Scope(), Protocol())[::2] == (200, b"")


def test_a_body_that_is_too_large_is_cut_off_and_the_rest_not_taken(served: Gateway) -> None:
    protocol = Protocol(*[b"x" * 400] * 10)
    _, _, content = ask(served, Scope(headers=CHUNKED), protocol)
    assert len(content) == MOST_BYTES + 1
    assert protocol.taken == 3


def test_only_so_many_large_bodies_are_taken_at_a_time(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "LARGE_AT_ONCE", 2)
    served = Gateway(app, on_loop=[("POST", "/on-loop")], most_bytes=MOST_BYTES)
    protocols = [Protocol(*[b"x"] * 5) for _ in range(6)]
    under_way = []

    async def all_at_once() -> None:
        tasks = [asyncio.create_task(served.__rsgi__(Scope(headers=CHUNKED), each)) for each in protocols]
        while not all(task.done() for task in tasks):
            under_way.append(sum(each.taken > 0 and not each.answer for each in protocols))
            await asyncio.sleep(0)

    asyncio.run(all_at_once())
    assert max(under_way) == 2
    assert [each.answer[2] for each in protocols] == [b"xxxxx"] * 6


def test_a_large_body_that_does_not_come_is_not_waited_for(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "LARGE_SECONDS", 0.01)

    class Stalls(Protocol):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.sleep(PATIENCE_SECONDS)

    assert ask(served, Scope(headers=CHUNKED), Stalls())[0] == 408


@pytest.mark.parametrize("headers", [sized(b"abc"), CHUNKED])
def test_a_client_that_goes_away_in_the_middle_gets_no_answer_and_no_traceback(
    served: Gateway, headers: Headers
) -> None:
    assert ask(served, Scope(headers=headers), Protocol(b"a", error=ProtocolClosed())) == ()


def test_views_that_may_block_run_in_threads_and_the_others_on_the_loop(served: Gateway) -> None:
    for path, on_loop in (("/on-loop", True), ("/in-thread", False)):
        _, headers, _ = ask(served, Scope(path=path), Protocol())
        assert (dict(headers)["Thread"] == "MainThread") is on_loop


def test_a_deferred_answer_keeps_nobody_waiting(app: Flask, served: Gateway) -> None:
    gate: list[asyncio.Event] = []

    @app.post("/later")
    def later() -> Response:
        async def answer() -> Response:
            await gate[0].wait()
            return Response("stored", 202)

        return deferred(request, answer())

    waits, other = Protocol(), Protocol()

    async def both() -> None:
        gate.append(asyncio.Event())
        waiting = asyncio.create_task(served.__rsgi__(Scope(path="/later"), waits))
        await served.__rsgi__(Scope(), other)
        assert (waits.answer, other.answer[0]) == ((), 200)
        gate[0].set()
        await waiting

    asyncio.run(both())
    assert waits.answer[::2] == (202, b"stored")


def test_a_fault_in_a_view_is_a_500(app: Flask, served: Gateway) -> None:
    @app.post("/later")
    def fails() -> Response:
        raise RuntimeError("a fault of our own")

    assert ask(served, Scope(path="/later"), Protocol())[0] == 500


def test_a_view_sees_the_request_as_wsgi_describes_it(app: Flask) -> None:
    seen: dict[str, Any] = {}

    @app.route("/caf\xe9")
    def look() -> str:
        seen.update(
            request.environ, args=request.args.to_dict(), path=request.path, twice=request.headers["x-twice"]
        )
        return ""

    scope = Scope(
        "GET", "/caf\xe9", "a=1&b=%20", headers=Headers(("host", "h:1"), ("x-twice", "1"), ("x-twice", "2"))
    )
    assert ask(Gateway(app, [], MOST_BYTES), scope, Protocol())[0] == 200
    assert (seen["path"], seen["args"], seen["twice"]) == ("/caf\xe9", {"a": "1", "b": " "}, "1,2")
    assert (seen["REMOTE_ADDR"], seen["SERVER_PORT"], seen["HTTP_HOST"]) == ("127.0.0.1", "8000", "h:1")


def test_what_an_application_opened_for_its_answer_is_closed() -> None:
    closed = []

    class Parts:
        def __iter__(self) -> Iterator[bytes]:
            yield b"part"

        def close(self) -> None:
            closed.append(True)

    def app(_: dict[str, Any], start_response: Any) -> Parts:
        start_response("200 OK", [])
        return Parts()

    served = Gateway(app, [], MOST_BYTES)  # type: ignore[arg-type]
    assert ask(served, Scope(), Protocol())[::2] == (200, b"part")
    assert closed
