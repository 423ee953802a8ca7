"""uvicorn's HTTP protocol, with limits on what an unauthenticated client may use.

By itself uvicorn waits for ever for a request that was begun, for the first one of a connection, and for a client to
read its answers; it collects headers and pipelined requests without end, and loses the body of a request that asks for
an upgrade. ``--http`` names any class like the ones that it has: https://www.uvicorn.org/settings/.
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.web.body_budget import BodyBudget, Holder
from app.web.parking import Parking
from app.web.strict_http import Ambiguous, check_request

HEAD_BYTES = 16 * 1024  # of a request's line and headers
MAX_HEADERS = 100  # each costs more as an object than as bytes
MAX_PIPELINED = 16  # requests that wait for the one before them
REQUEST_SECONDS = 20  # for a request to arrive in full: Meta gives up after about as long
DRAIN_SECONDS = 20  # for a client to read its answers
RATE_GRACE_SECONDS = 5  # after which a body must have come at MIN_BYTES_PER_SECOND
MIN_BYTES_PER_SECOND = 1024
WRITE_BUFFER_BYTES = 8 * 1024  # of answers that nobody reads; the next answer waits
SWEEP_SECONDS = 1.0

CLIENT_ERROR = b"HTTP/1.1 4"  # how an answer begins that refuses

budget = BodyBudget()  # of this process
parking = Parking()  # of this process


class GuardedProtocol(HttpToolsProtocol):
    """One connection. 400, 408 and 431 say why it was closed, where no answer is under way."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._in_head = False
        self._head_bytes = 0  # in reads of the socket
        self._headers_bytes = 0  # in headers that are complete
        self._refusal = HTTPStatus.BAD_REQUEST
        self._arriving = True  # a request, as soon as anything comes
        self._deadline: asyncio.TimerHandle | None = None
        self._holder = Holder(self._evict)
        self._undrained_since: float | None = None
        self.is_over = False  # nothing is read any more
        self._answers: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._answers = _Answers(self)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        _Sweeper.start(self)
        # As between two requests: a proxy may open connections before it needs them, and would take a 408 for the
        # answer to the request that it is just sending
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        budget.release(self._holder)
        self.pipeline.clear()
        super().connection_lost(exc)
        self.is_over = True
        # Without these cycles it is freed at once, not when Python next looks for garbage
        self.cycle = None  # type: ignore[assignment]
        self._answers = None
        self._holder.evict = _do_nothing

    def data_received(self, data: bytes) -> None:
        if self.is_over or self.transport.is_closing():
            self.flow.pause_reading()  # where a request that is over had it resumed
            return
        super().data_received(data)
        if self._arriving and self._deadline is None:
            self._set_deadline()
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    # httptools calls these. What they raise becomes a call of send_400_response.

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED or self.is_over or self.transport.is_closing():
            raise Ambiguous("too many requests wait for their answers")
        self._arriving = self._in_head = True
        self._head_bytes = self._headers_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > HEAD_BYTES:
            self._refuse_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            raise Ambiguous("a trailer: nobody has checked what it says")
        super().on_header(name, value)
        self._headers_bytes += len(name) + len(value)
        if self._headers_bytes > HEAD_BYTES or len(self.headers) > MAX_HEADERS:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self.parser.should_upgrade():
            # httptools would keep the body from us, as bytes of another protocol: a signed one would be refused as
            # unsigned
            raise Ambiguous("no upgrade to another protocol is offered")
        version = self.parser.get_http_version()
        # In place: the scope has the same list
        self.headers[:] = check_request(self.url, version, self.headers)
        if version == "1.0":  # whose clients would take "100 Continue" for the answer
            self.expect_100_continue = False
        super().on_headers_complete()
        self.cycle.transport = self._answers

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if self.cycle.response_complete:  # refused before it had arrived: the rest is dropped
            return
        budget.add(self._holder, len(body), self.loop.time())
        if self.is_over:
            raise Ambiguous("evicted")

    def on_message_complete(self) -> None:
        self._arriving = False
        self._cancel_deadline()
        super().on_message_complete()
        if not self.pipeline:
            budget.release(self._holder)

    def on_response_complete(self) -> None:
        if self.is_over:
            return
        super().on_response_complete()
        if not self.pipeline and not self._arriving:
            budget.release(self._holder)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  (as uvicorn calls it)
        self._refuse(self._refusal)

    # Ends

    def sweep(self, now: float) -> None:
        """Abort a connection whose client does not read, refuse a body that comes too slowly."""
        if not self.transport.get_write_buffer_size():
            self._undrained_since = None
        elif self._undrained_since is None:
            self._undrained_since = now
        elif now - self._undrained_since > DRAIN_SECONDS:
            self.transport.abort()
        age = now - self._holder.since
        slow = age > RATE_GRACE_SECONDS and self._holder.num_bytes < age * MIN_BYTES_PER_SECOND
        if slow and self._holder.num_bytes and self._arriving:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def shutdown(self) -> None:
        if self.is_over:
            self.transport.close()
        else:
            super().shutdown()

    def park(self) -> None:
        """Read nothing more, and close later: its client shall not come again at once."""
        if self.is_over or self.transport.is_closing():
            return
        self.is_over = True
        self._cancel_deadline()
        self._unset_keepalive_if_required()
        budget.release(self._holder)
        self.pipeline.clear()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.body = bytearray()
            cycle.message_event.set()
        self.flow.pause_reading()
        parking.add(self.transport, self.loop.time())

    def _evict(self) -> None:
        self.park()

    def _refuse_head(self) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise Ambiguous("headers that are too large")

    def _set_deadline(self) -> None:
        self._deadline = self.loop.call_later(REQUEST_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: HTTPStatus) -> None:
        if self.is_over or self.transport.is_closing():
            return
        if self._can_answer():
            line = f"HTTP/1.1 {status} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            self.transport.write(line.encode())
        self.park()

    def _can_answer(self) -> bool:
        """Whether the client will take what is written now for the answer to the request that is refused."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return True
        if self.pipeline:
            return False
        # While headers arrive, the cycle is still that of the request before
        return cycle.response_complete if self._in_head else not cycle.response_started


def _do_nothing() -> None:
    """What is evicted of a connection that is gone."""


class _Answers:
    """What a connection's requests write to. A refusal that ends the connection parks it; another end closes it."""

    def __init__(self, protocol: GuardedProtocol) -> None:
        self._protocol = protocol
        self._refused = False

    def write(self, part: bytes) -> None:
        """Send a part of an answer; uvicorn writes its head at once."""
        if self._protocol.is_over:
            return
        self._refused = self._refused or part.startswith(CLIENT_ERROR)
        self._protocol.transport.write(part)

    def is_closing(self) -> bool:
        """Whether nothing more can be sent; uvicorn asks before it sends "100 Continue"."""
        return self._protocol.is_over or self._protocol.transport.is_closing()

    def close(self) -> None:
        """End the connection after its last answer."""
        if self._refused:
            self._protocol.park()
        else:
            self._protocol.transport.close()


class _Sweeper:
    """Looks at every connection of an event loop once in SWEEP_SECONDS: cheaper than a timer for each answer."""

    _loops: ClassVar[set[asyncio.AbstractEventLoop]] = set()

    @classmethod
    def start(cls, protocol: GuardedProtocol) -> None:
        if protocol.loop not in cls._loops:
            cls._loops.add(protocol.loop)
            cls._sweep(protocol.loop, protocol.connections)

    @classmethod
    def _sweep(cls, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        if not connections:
            cls._loops.discard(loop)
            return
        parking.close_due(loop.time())
        for protocol in list(connections):
            protocol.sweep(loop.time())
        loop.call_later(SWEEP_SECONDS, cls._sweep, loop, connections)
