"""uvicorn's HTTP protocol, with limits on what an unauthenticated client may use.

By itself uvicorn waits for ever for a request that was begun, or for the first one of a connection, collects headers
without end, and loses the body of a request that asks for an upgrade.
``--http`` names any class like the ones that it has: https://www.uvicorn.org/settings/.
"""

import asyncio
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_BYTES = 64 * 1024  # of a request's line and headers, in more than one read of the socket
REQUEST_SECONDS = 20  # for a request to arrive as a whole: Meta gives up after about as long


class GuardedProtocol(HttpToolsProtocol):
    """One connection. 408 and 431 say why it was closed, where no answer is under way."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = False
        self._head_bytes = 0
        self._arriving = True  # a request, as soon as anything comes
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        # As between two requests: a proxy may open connections before it needs them, and would take a 408 for the
        # answer to the request that it is just sending
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._arriving and self._deadline is None:
            self._set_deadline()
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    # httptools calls these

    def on_message_begin(self) -> None:
        self._arriving = self._in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.should_upgrade():
            # httptools would keep the body from us, as bytes of another protocol: a signed one would be refused as
            # unsigned. What is raised here becomes uvicorn's 400.
            raise ValueError("no upgrade to another protocol is offered")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arriving = False
        self._cancel_deadline()
        super().on_message_complete()

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        if self._can_answer():
            line = f"HTTP/1.1 {status} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(line.encode())
        self.transport.close()

    def _can_answer(self) -> bool:
        """Whether the client will take what is written now for the answer to the request that is refused."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return True
        # While headers arrive, the cycle is still that of the request before
        return cycle.response_complete if self._in_head else not cycle.response_started
