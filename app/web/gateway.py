"""HTTP on one event loop: an ASGI server on one side, Flask on the other.

A view that waits for a store uses no thread: it returns ``deferred(...)``, and the loop goes on with the next request.
With a thread for each request, switching the GIL between them costs more than the rest of a request. Views that may
block, which are all except those named in ``on_loop``, run in threads.

ASGI is https://asgi.readthedocs.io/en/latest/specs/www.html, WSGI is PEP 3333.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Container, Coroutine, Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any, cast

from flask import Flask, Request, Response

Environ = dict[str, Any]
Answer = tuple[int, list[tuple[str, str]], bytes]  # status, headers, body
StartResponse = Callable[..., Any]
Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

NOT_FOUND: Answer = (
    404,
    [("Content-Type", "text/plain"), ("Content-Length", "0"), ("X-Content-Type-Options", "nosniff")],
    b"",
)
DEFERRED = "neverdrop.deferred"
BASE_ENVIRON: Environ = {
    "SCRIPT_NAME": "",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


class _DeferredResponse(Response):
    """Sends nothing by WSGI: the gateway awaits the response under ``DEFERRED``."""

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG002
        return ()


DEFERRED_RESPONSE = _DeferredResponse()


def deferred(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """Return what a view returns before its response is known; the gateway awaits ``answer``."""
    request.environ[DEFERRED] = answer
    return DEFERRED_RESPONSE


class Gateway:
    """Serves a Flask application. ``on_loop``: method and path of the views that never block, but may defer.

    ``paths``: those that there are, if they are known. A body of more than ``max_bytes`` is cut after
    ``max_bytes + 1`` bytes, so that its view can see its excess.
    """

    def __init__(
        self,
        app: Flask,
        on_loop: Iterable[tuple[str, str]],
        max_bytes: int,
        paths: Container[str] | None = None,
    ) -> None:
        self._app = app
        self._on_loop = frozenset(on_loop)
        self._paths = paths
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await self._read_body(receive)
        except _ClientGone:
            return
        status, headers, content = await self.answer(_environ(scope, body))
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if 400 <= status < 500:  # whoever sent it shall not go on at once: see the guard
            raw.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": content})

    async def answer(self, environ: Environ) -> Answer:
        """Return the application's answer to a request whose body has arrived in full."""
        if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) in self._on_loop:
            answer = self._call(environ)
        elif self._paths is not None and environ["PATH_INFO"].replace("//", "/") not in self._paths:
            return NOT_FOUND  # without Flask and a thread: anybody can ask for what there is not, again and again
        else:
            answer = await asyncio.to_thread(self._call, environ)
        if DEFERRED not in environ:
            return answer
        response: Response = await environ[DEFERRED]
        return response.status_code, list(response.headers.items()), response.get_data()

    def _call(self, environ: Environ) -> Answer:
        started: list[Any] = [0, []]

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            started[:] = int(status.partition(" ")[0]), headers

        parts: Any = self._app(environ, cast(Any, start_response))  # without PEP 3333's write()
        try:
            return started[0], started[1], b"".join(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()

    async def _read_body(self, receive: Receive) -> bytes:
        first, more = await _read_part(receive)
        if not more:
            return first
        parts, size, more = [first], len(first), True
        while more and size <= self._max_bytes:
            part, more = await _read_part(receive)
            parts.append(part)
            size += len(part)
        return b"".join(parts)[: self._max_bytes + 1]


class _ClientGone(Exception):
    """The client closed the connection before its request was complete."""


async def _read_part(receive: Receive) -> tuple[bytes, bool]:
    """Return the next part of a body, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise _ClientGone
    return message.get("body", b""), message.get("more_body", False)


def _environ(scope: Scope, body: bytes) -> Environ:
    """Return the WSGI environ (PEP 3333) of an ASGI request."""
    host, port = scope["server"] or ("", "")  # ASGI: either may be None
    address, _ = scope["client"] or ("", 0)
    environ = {
        **BASE_ENVIRON,
        "REQUEST_METHOD": scope["method"],
        "PATH_INFO": scope["path"].encode().decode("latin-1"),  # as PEP 3333 has it
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "REMOTE_ADDR": address,
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
    }
    for raw, value in scope["headers"]:
        name = _environ_key(raw)
        value = value.decode("latin-1")
        environ[name] = f"{environ[name]},{value}" if name in environ else value
    if "HTTP_CONTENT_TYPE" in environ:
        environ["CONTENT_TYPE"] = environ["HTTP_CONTENT_TYPE"]
    environ["CONTENT_LENGTH"] = str(len(body))
    return environ


@lru_cache(maxsize=256)
def _environ_key(header: bytes) -> str:
    return "HTTP_" + header.decode("latin-1").upper().replace("-", "_")
