"""A stand-in HTTP server in the test's process that keeps what is posted to it."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WAIT_SECONDS = 10


class Receiver:
    """``bodies`` in the order of arrival; ``status`` is what the next requests are answered with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.bodies: list[bytes] = []
        self._arrived = threading.Condition()

    def take(self, body: bytes) -> None:
        with self._arrived:
            self.bodies.append(body)
            self._arrived.notify_all()

    def wait(self, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
        """The bodies, once ``enough`` of them says so."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: enough(self.bodies), WAIT_SECONDS), self.bodies
            return list(self.bodies)

    def answer(self, _body: bytes) -> bytes:
        """What is answered to a body."""
        return b"{}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]


@contextmanager
def receiver(kind: type[Receiver] = Receiver) -> Iterator[Receiver]:
    """Listens on a free port of the loopback interface."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status = found.status
            if status < 400:
                found.take(body)
            answer = found.answer(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = kind(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
