"""The bench's load: what a server does to a connection that nobody uses is no failure of a request."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from bench.traffic.bodies import Traffic
from bench.traffic.sender import Order, Sender

REQUESTS = 40
CONNECTIONS = 4
CLOSED = 2  # of them
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
LATE = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class Server(socketserver.ThreadingTCPServer):
    """Answers 200; but CLOSED connections, the first ones, are answered 408 and closed before any request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.connections = count()
        self.refused = threading.Semaphore(0)  # once for each connection that is closed
        self.served = list[bytes]()  # bodies


class Answering(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        if next(self.server.connections) < CLOSED:
            self.wfile.write(LATE)
            return
        while self.rfile.readline():
            length = 0
            while (line := self.rfile.readline().strip().lower()) != b"":
                name, _, value = line.partition(b":")
                length = int(value) if name == b"content-length" else length
            self.server.served.append(self.rfile.read(length))
            self.wfile.write(OK)

    def finish(self) -> None:
        super().finish()
        self.server.shutdown_request(self.connection)
        self.server.refused.release()


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("rate", [None, 400.0])
def test_a_connection_that_is_closed_before_it_was_used_costs_no_request(rate: float | None) -> None:
    with serving() as server:
        port = server.server_address[1]
        sender = Sender(Order(port, Traffic(), CONNECTIONS, count=REQUESTS, rate=rate))
        for _ in range(CLOSED):
            assert server.refused.acquire(timeout=10)
        tally = sender.run()
    assert (tally.accepted, tally.refused, tally.broken) == (REQUESTS, 0, 0)
    assert len(set(server.served)) == len(server.served) == REQUESTS
