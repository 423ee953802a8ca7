"""Requests on the loop: a view that waits keeps nobody waiting, and no body takes more memory than it may."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response, request

from app.web.gateway import Gateway, deferred

MAX_BYTES = 1_000
PATIENCE_SECONDS = 20


class Client:
    """One request's body, in parts, and its answer, as an ASGI server has them."""

    def __init__(self, *parts: bytes, goes_away: bool = False) -> None:
        self._parts = list(parts)
        self._goes_away = goes_away
        self.taken = 0
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self._start: dict[str, Any] = {}

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self._goes_away and self.taken == len(self._parts):
            return {"type": "http.disconnect"}
        self.taken += 1
        more = self._goes_away or self.taken < len(self._parts)
        body = self._parts[self.taken - 1] if self._parts else b""
        return {"type": "http.request", "body": body, "more_body": more}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self._start = message
        else:
            headers = {name.decode().lower(): value.decode() for name, value in self._start["headers"]}
            self.answer = (self._start["status"], headers, message["body"])

    @property
    def status(self) -> int:
        assert self.answer is not None
        return self.answer[0]

    @property
    def content(self) -> bytes:
        assert self.answer is not None
        return self.answer[2]


def scope(path: str = "/on-loop", *headers: tuple[str, str], **other: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50_000),
        "scheme": "http",
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        **other,
    }


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
    return Gateway(app, on_loop=[("POST", "/on-loop"), ("POST", "/later")], max_bytes=MAX_BYTES)


def ask(served: Gateway, scope: dict[str, Any], client: Client) -> Client:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await served(scope, client.receive, client.send)

    asyncio.run(bounded())
    return client


def sized(content: bytes) -> tuple[str, str]:
    return "content-length", str(len(content))


CHUNKED = ("transfer-encoding", "chunked")


def test_a_view_gets_the_body_whole(served: Gateway) -> None:
    assert ask(served, scope("/on-loop", sized(b"abc")), Client(b"a", b"bc")).content == b"abc"
    assert ask(served, scope("/on-loop", CHUNKED), Client(b"a", b"", b"bc")).content == b"abc"
    assert ask(served, scope(), Client()).content == b""


def test_a_body_that_is_too_large_is_cut_off_and_the_rest_not_taken(served: Gateway) -> None:
    client = ask(served, scope("/on-loop", CHUNKED), Client(*[b"x" * 400] * 10))
    assert len(client.content) == MAX_BYTES + 1
    assert client.taken == 3


@pytest.mark.parametrize("header", [sized(b"abc"), CHUNKED])
def test_a_client_that_goes_away_in_the_middle_gets_no_answer_and_no_traceback(
    served: Gateway, header: tuple[str, str]
) -> None:
    assert ask(served, scope("/on-loop", header), Client(b"a", goes_away=True)).answer is None


def test_views_that_may_block_run_in_threads_and_the_others_on_the_loop(served: Gateway) -> None:
    for path, on_loop in (("/on-loop", True), ("/in-thread", False)):
        answer = ask(served, scope(path), Client()).answer
        assert answer is not None
        assert (answer[1]["thread"] == "MainThread") is on_loop


def test_a_deferred_answer_keeps_nobody_waiting(app: Flask, served: Gateway) -> None:
    gate: list[asyncio.Event] = []

    @app.post("/later")
    def later() -> Response:
        async def answer() -> Response:
            await gate[0].wait()
            return Response("stored", 202)

        return deferred(request, answer())

    waits, other = Client(), Client()

    async def both() -> None:
        gate.append(asyncio.Event())
        waiting = asyncio.create_task(served(scope("/later"), waits.receive, waits.send))
        await served(scope(), other.receive, other.send)
        assert (waits.answer, other.status) == (None, 200)
        gate[0].set()
        await waiting

    asyncio.run(both())
    assert (waits.status, waits.content) == (202, b"stored")


def test_a_fault_in_a_view_is_a_500(app: Flask, served: Gateway) -> None:
    @app.post("/later")
    def fails() -> Response:
        raise RuntimeError("a fault of our own")

    assert ask(served, scope("/later"), Client()).status == 500


def test_a_view_sees_the_request_as_wsgi_describes_it(app: Flask) -> None:
    seen: dict[str, Any] = {}

    @app.route("/caf\xe9")
    def look() -> str:
        seen.update(
            request.environ, args=request.args.to_dict(), path=request.path, twice=request.headers["x-twice"]
        )
        return ""

    headers = ("host", "h:1"), ("x-twice", "1"), ("x-twice", "2")
    asked = scope("/caf\xe9", *headers, method="GET", query_string=b"a=1&b=%20")
    assert ask(Gateway(app, [], MAX_BYTES), asked, Client()).status == 200
    assert (seen["path"], seen["args"], seen["twice"]) == ("/caf\xe9", {"a": "1", "b": " "}, "1,2")
    assert (seen["REMOTE_ADDR"], seen["SERVER_PORT"], seen["HTTP_HOST"]) == ("127.0.0.1", "8000", "h:1")


def test_a_request_from_nobody_knows_where_is_served(served: Gateway) -> None:
    """By a Unix socket, or from a client that has just gone."""
    assert ask(served, scope(client=None, server=None), Client(b"abc")).content == b"abc"


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

    served = Gateway(app, [], MAX_BYTES)  # type: ignore[arg-type]
    assert ask(served, scope(), Client()).content == b"part"
    assert closed


def test_a_path_that_does_not_exist_costs_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Flask(__name__, static_folder=None)
    app.add_url_rule("/known", view_func=lambda: "known")
    served = Gateway(app, [], MAX_BYTES, paths={"/known"})
    monkeypatch.setattr(asyncio, "to_thread", None)  # what would answer in one
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/unknown"}
    status, headers, body = asyncio.run(served.answer(environ))
    assert (status, body) == (404, b"")
    assert ("X-Content-Type-Options", "nosniff") in headers
    with pytest.raises(TypeError):
        asyncio.run(served.answer(environ | {"PATH_INFO": "/known"}))
