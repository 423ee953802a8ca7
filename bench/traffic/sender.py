"""Sends requests over connections that stay open: as fast as they are answered, or at a given rate.

Run as a process of its own (``python -m bench.sender``), told what to do by a line of JSON on its standard input.
It says ``ready`` when its bodies are signed, starts at the next line, and ends with its tally as a line of JSON.

At a given rate a latency counts from the moment at which the request was to be sent, so that a server that
stalls is not spared the requests that it kept waiting. A request that is refused or broken off is sent again, as
Meta would.
"""

import contextlib
import json
import select
import selectors
import socket
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, islice
from typing import Any

from bench.traffic.bodies import Traffic, requests
from bench.traffic.tally import Histogram, Tally

SIGNED_AHEAD = 300_000  # requests, about 1 kB each; what goes beyond is signed while sending
RECEIVE_BYTES = 65_536
LATE_ANSWER_SECONDS = 15  # after the last request
MAX_FAILURES = 1_000  # in a row: nobody is there
MAX_CONNECTIONS = 512
OK = b" 200 "


@dataclass(frozen=True, slots=True)
class Order:
    """What one sender does. ``rate`` None: each connection sends when it was answered."""

    port: int
    traffic: Traffic
    connections: int
    count: int | None = None  # stop after so many
    seconds: float | None = None  # or after this time
    rate: float | None = None  # a second
    process: int = 0  # which of
    processes: int = 1  # several senders

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Order":
        found: dict[str, Any] = json.loads(line)
        return cls(**{**found, "traffic": Traffic(**found["traffic"])})


class NoAnswerError(Exception):
    """The server answers nobody."""


class Connection:
    """One connection, with at most one request under way."""

    __slots__ = ("buffer", "due", "port", "request", "socket")

    def __init__(self, port: int) -> None:
        self.port = port
        self.request = b""
        self.due = 0.0  # when the request was sent, or was to be sent
        self.open()

    def open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=LATE_ANSWER_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, request: bytes, due: float) -> None:
        self.request, self.due, self.buffer = request, due, b""
        self.socket.sendall(request)

    def receive(self) -> bool | None:
        """Whether it was 200, once the answer is whole; None before. OSError when it is broken off."""
        received = self.socket.recv(RECEIVE_BYTES)
        if not received:
            raise ConnectionResetError("closed by the server")
        self.buffer += received
        return _status(self.buffer)


def _status(answer: bytes) -> bool | None:
    head, separator, content = answer.partition(b"\r\n\r\n")
    if not separator:
        return None
    _, found, rest = head.lower().partition(b"content-length:")
    if found and len(content) < int(rest.partition(b"\r\n")[0]):
        return None
    return OK in head[:16]


class Sender:
    """Sends what an order says, and counts."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._again: deque[bytes] = deque()
        self._left = order.count
        self._failures = 0
        self._latencies = array("d")
        self._lags = array("d")
        self._tally = Tally()
        endless = requests(order.traffic, order.process, order.processes)
        self._requests: Iterator[bytes] = chain(list(islice(endless, self._ahead())), endless)
        self._selector = selectors.DefaultSelector()
        self._busy: set[Connection] = set()
        self._idle = [self._connect() for _ in range(order.connections)]

    def _ahead(self) -> int:
        order = self._order
        expected = order.count or int((order.rate or SIGNED_AHEAD) * (order.seconds or 1))
        return min(expected, SIGNED_AHEAD)

    def _connect(self) -> Connection:
        connection = Connection(self._order.port)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def run(self) -> Tally:
        """Send everything, wait for the answers, and close the connections."""
        started, cpu = time.perf_counter(), time.process_time()
        self._receive(0)  # what was closed before the start
        if self._order.rate:
            self._at_rate(started, self._order.rate)
        else:
            self._as_fast_as_answered(started)
        self._finish()
        tally = self._tally
        tally.seconds = time.perf_counter() - started
        tally.cpu_seconds = time.process_time() - cpu
        tally.latencies, tally.lags = Histogram.of(self._latencies), Histogram.of(self._lags)
        for connection in (*self._idle, *self._busy):
            connection.socket.close()
        return tally

    def _next(self) -> bytes | None:
        if self._again:
            return self._again.popleft()
        if self._left is not None:
            if self._left == 0:
                return None
            self._left -= 1
        return next(self._requests)

    def _as_fast_as_answered(self, started: float) -> None:
        end = started + (self._order.seconds or float("inf"))
        while time.perf_counter() < end:
            while self._idle and (request := self._next()) is not None:
                self._send(self._idle.pop(), request, time.perf_counter())
            if not self._busy:
                return
            self._receive(0.1)

    def _at_rate(self, started: float, rate: float) -> None:
        end = started + (self._order.seconds or float("inf"))
        place = 0
        while (due := started + place / rate) < end:
            wait = due - time.perf_counter()
            if wait > 0:
                self._wait(wait)
            self._receive(0)  # when late too: what was answered is free, what was closed is not used
            if wait > 0:
                continue
            request = self._next()
            if request is None:
                return
            self._lags.append(-wait)
            self._send(self._free(), request, due)
            place += 1

    def _wait(self, seconds: float) -> None:
        """For an answer, or so long: ``select`` counts microseconds where a selector rounds to milliseconds."""
        select.select([self._selector], [], [], seconds)

    def _free(self) -> Connection:
        """An idle connection, or one more; with too many of them an answer is waited for."""
        while not self._idle:
            if len(self._busy) < MAX_CONNECTIONS:
                return self._connect()
            self._receive(0.1)
        return self._idle.pop()

    def _send(self, connection: Connection, request: bytes, due: float) -> None:
        self._busy.add(connection)
        try:
            connection.send(request, due)
        except OSError:
            self._broken(connection)

    def _receive(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            connection: Connection = key.data
            if connection not in self._busy:
                # Nobody has asked, so this is the end of it, with a last word (408) or without
                self._idle.remove(connection)
                self._replace(connection)
                continue
            try:
                ok = connection.receive()
            except OSError:
                self._broken(connection)
                continue
            if ok is not None:
                self._answered(connection, ok)

    def _answered(self, connection: Connection, ok: bool) -> None:
        self._busy.discard(connection)
        self._idle.append(connection)
        if ok:
            self._failures = 0
            self._tally.accepted += 1
            self._latencies.append(time.perf_counter() - connection.due)
        else:
            self._tally.refused += 1
            self._fail(connection.request)

    def _broken(self, connection: Connection) -> None:
        """It ended under its request."""
        self._busy.discard(connection)
        self._tally.broken += 1
        self._fail(connection.request)
        self._replace(connection)

    def _replace(self, connection: Connection) -> None:
        """By a new one, unless there are more than were ordered."""
        self._selector.unregister(connection.socket)
        connection.socket.close()
        if len(self._idle) + len(self._busy) < self._order.connections:
            self._idle.append(self._connect())

    def _fail(self, request: bytes) -> None:
        self._again.append(request)
        self._failures += 1
        if self._failures >= MAX_FAILURES:
            raise NoAnswerError(f"{self._failures} requests in a row were not accepted")

    def _finish(self) -> None:
        """The last answers; what was refused at the very end is sent once more."""
        deadline = time.perf_counter() + LATE_ANSWER_SECONDS
        while (self._busy or self._again) and time.perf_counter() < deadline:
            while self._idle and self._again:
                self._send(self._idle.pop(), self._again.popleft(), time.perf_counter())
            self._receive(0.1)


def main() -> None:
    sender = Sender(Order.from_json(sys.stdin.readline()))
    print("ready", flush=True)  # noqa: T201
    if sys.stdin.readline():
        print(json.dumps(sender.run().to_json()), flush=True)  # noqa: T201


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
