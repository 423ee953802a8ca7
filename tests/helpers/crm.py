"""A CRM in the test's process that is a target: down for a while, slow, failing, cutting off what it has got."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Crm:
    """``received`` in the order of arrival: (webhook-id, the event's number, conversation, text)."""

    url: str = ""
    down: bool = False  # closes each connection before it has read anything
    failing: float = 0.0  # share that is answered 500
    cut_off: float = 0.0  # share that is received and not answered
    slow_seconds: float = 0.0
    replies: bool = False
    received: list[tuple[str, int, str, str]] = field(default_factory=list)
    moments: list[float] = field(
        default_factory=list
    )  # of each that it received, in the same order: Unix time
    attempts: int = 0
    _changing: threading.Lock = field(default_factory=threading.Lock)

    def take(self, id_: str, body: bytes) -> str | None:
        """Return the text of an event that is kept, None for one that is answered 500."""
        data = json.loads(body)["data"]
        with self._changing:
            if random.random() < self.failing:
                return None
            self.moments.append(time.time())
            self.received.append((id_, data["id"], data["conversation"], data["text"]))
        return str(data["text"])


@contextmanager
def crm(**more: Any) -> Iterator[Crm]:
    """Listens on a free port of the loopback interface."""
    found = Crm(**more)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            found.attempts += 1
            if found.down:
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(random.uniform(0, found.slow_seconds))
            text = found.take(self.headers["webhook-id"], body)
            if text is not None and random.random() < found.cut_off:
                self.close_connection = True
                return
            answer = json.dumps({"replies": [{"text": f"re {text}"}]}).encode() if found.replies else b""
            self.send_response(500 if text is None else 200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Silent."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """The forwarder was killed while it was answered."""

    with Server(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/hooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
