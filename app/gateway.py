"""HTTP on one event loop: granian's RSGI on one side, Flask on the other.

A request that waits for a store keeps no thread: its view returns ``deferred(...)``, and the loop goes on with the next
one. With a thread for each request, handing the GIL from one to the other costs more than all that a request
computes. Views that may block, which are all but those named in ``on_loop``, run in threads.

RSGI is granian's own interface, https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from io import BytesIO
from typing import Any, cast

from flask import Flask, Request, Response
from granian.rsgi import ProtocolClosed  # type: ignore[attr-defined]  # which is its documented place

Environ = dict[str, Any]
Answer = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body
StartResponse = Callable[..., Any]

DEFERRED = "neverdrop.deferred"
# What a body may take of memory before anybody knows whether it is signed
LARGE_BYTES = 256 * 1024
LARGE_AT_ONCE = 16
LARGE_SECONDS = 20  # for a large body to arrive: Meta gives up after about as long
UNCHANGING: Environ = {
    "SCRIPT_NAME": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


class _Later(Response):
    """Says nothing to WSGI: the answer comes from ``DEFERRED``."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG002
        return ()


LATER = _Later()


def deferred(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """What a view returns while the answer to its request is not known yet; the gateway awaits ``answer``."""
    request.environ[DEFERRED] = answer
    return LATER


class Gateway:
    """Serves a Flask application. ``on_loop``: method and path of the views that never block, but may defer.

    A body of more than ``most_bytes`` reaches its view cut off behind the first byte that is too many.
    """

    def __init__(self, app: Flask, on_loop: Iterable[tuple[str, str]], most_bytes: int) -> None:
        self._app = app
        self._on_loop = frozenset(on_loop)
        self._most_bytes = most_bytes
        self._large = asyncio.Semaphore(LARGE_AT_ONCE)

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        try:
            body = await self._body(scope, protocol)
        except ProtocolClosed:
            return  # the client went away in the middle of it
        except TimeoutError:
            protocol.response_empty(408, [])
            return
        protocol.response_bytes(*await self.answer(_environ(scope, body)))

    async def answer(self, environ: Environ) -> Answer:
        """What the application answers to a request, whose body is there as a whole."""
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in self._on_loop:
            called = self._call(environ)
        else:
            called = await asyncio.to_thread(self._call, environ)
        if DEFERRED not in environ:
            return called
        response: Response = await environ[DEFERRED]
        return response.status_code, list(response.headers.items()), response.get_data()

    def _call(self, environ: Environ) -> Answer:
        started: list[Any] = [0, []]

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            started[:] = int(status.partition(" ")[0]), headers

        parts: Any = self._app(environ, cast(Any, start_response))  # without the write() that nobody uses
        try:
            return started[0], started[1], b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()

    async def _body(self, scope: Any, protocol: Any) -> bytes:
        announced = scope.headers.get("content-length")
        if announced is not None and int(announced) <= LARGE_BYTES:
            whole: bytes = await protocol()
            return whole
        if announced is None and "transfer-encoding" not in scope.headers:
            return b""
        async with self._large, asyncio.timeout(LARGE_SECONDS):
            return await self._cut_off(protocol)

    async def _cut_off(self, protocol: Any) -> bytes:
        parts, left = [], self._most_bytes + 1
        async for part in protocol:
            parts.append(part[:left])
            left -= len(parts[-1])
            if not left:
                break
        return b"".join(parts)


def _environ(scope: Any, body: bytes) -> Environ:
    """As WSGI (PEP 3333) describes a request."""
    host, _, port = scope.server.rpartition(":")
    environ = {
        **UNCHANGING,
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),  # as PEP 3333 has it
        "QUERY_STRING": scope.query_string,
        "REMOTE_ADDR": scope.client.rpartition(":")[0],
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
    }
    for name, value in scope.headers.items():
        name = "HTTP_" + name.upper().replace("-", "_")
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ["HTTP_CONTENT_TYPE"]
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ
