"""A callback URL in a thread of the test: it answers the handshake, and hands signed bodies on."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from app.web import HEADER, sign
from tests.helpers.factories import APP_SECRET


@contextmanager
def callback_url(verify_token: str, take: Callable[[bytes], object] = lambda _: None) -> Iterator[str]:
    """Serve /webhook as web does, as far as the doctor asks for it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            right = query.get("hub.verify_token") == verify_token
            self._answer(200 if right else 403, query.get("hub.challenge", "") if right else "no")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            right = self.headers.get(HEADER) == sign(body, APP_SECRET.encode())
            if right:
                take(body)
            self._answer(200 if right else 401, "")

        def _answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/webhook"
        server.shutdown()
        thread.join()
