"""The nginx file of the docs, run by a real nginx in front of the web."""

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, BaseSelector, DefaultSelector

import pytest

from app.dev.stack.embedded import free_port
from tests.helpers import services
from tests.helpers.factories import APP_SECRET, signed
from tests.hostile.attacks import FORGED
from tests.hostile.certificates import Certificate, authority, signed_by
from tests.hostile.web import PATIENCE_SECONDS, Web, open_web

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "deploy" / "nginx.conf"
NAME, META = "webhooks.example.com", "client.webhooks.fbclientcerts.com"
REMEDY = "the test of the proxy needs nginx and openssl: apt-get install nginx openssl"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
MAX_CONNECTIONS = 200  # of the file
TOO_MANY = 20  # connections beyond it
HOLD_SECONDS = 600  # that nginx waits for a body here: none that is held is let go while others are opened
RAW = b'{ "text": "\\u00fc \xff\xfe \\/ ' + "ü🌷".encode() + b'"  ,\r\n "a":1.0 }\x00'


@dataclass
class Proxy:
    """nginx on a port of its own, the web behind it, and who may vouch for whom."""

    port: int
    web: Web
    ca: Certificate
    directory: Path

    def connect(
        self, name: str = NAME, client: Certificate | None = None, source: str = "127.0.0.1"
    ) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.ca.certificate))
        if client is not None:
            context.load_cert_chain(client.certificate, client.key)
        plain = socket.create_connection(
            ("127.0.0.1", self.port), PATIENCE_SECONDS, source_address=(source, 0)
        )
        try:
            return context.wrap_socket(plain, server_hostname=name)
        except BaseException:
            plain.close()
            raise

    def exchange(self, sent: bytes, client: Certificate | None = None, source: str = "127.0.0.1") -> bytes:
        """Return all that is answered to bytes on a connection of their own."""
        with self.connect(client=client, source=source) as connection:
            connection.sendall(sent)
            received = b""
            while part := connection.recv(65_536):
                received += part
        return received


def request(line: bytes, *headers: bytes, body: bytes = b"") -> bytes:
    known = (b"Host: " + NAME.encode(), b"Connection: close", *headers)
    return b"\r\n".join((line + b" HTTP/1.1", *known, b"", body))


def post(body: bytes) -> bytes:
    signature = signed(body, APP_SECRET).headers["X-Hub-Signature-256"].encode()
    return request(
        b"POST /webhook", b"X-Hub-Signature-256: " + signature, b"Content-Length: %d" % len(body), body=body
    )


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    if NGINX is None or shutil.which("openssl") is None:
        if os.environ.get("CI") == "true":
            pytest.fail(REMEDY)
        pytest.skip(REMEDY)
    with services.directory() as path:
        yield path


@contextmanager
def nginx(directory: Path, *, mutual: bool = False) -> Iterator[Proxy]:
    """Run the file, with the paths and ports of the test in the places of its own."""
    ca = authority(directory, "authority")
    server = signed_by(ca, NAME)
    port = free_port()
    with open_web() as web:
        text = FILE.read_text(encoding="utf-8")
        for theirs, ours in {
            "/run/nginx.pid": str(directory / "nginx.pid"),
            "/var/log/nginx/": f"{directory}/",
            "listen 443": f"listen 127.0.0.1:{port}",
            "127.0.0.1:8000": f"127.0.0.1:{web.port}",
            "/etc/nginx/webhooks.pem": str(server.certificate),
            "/etc/nginx/webhooks.key": str(server.key),
            "/etc/nginx/meta-ca.pem": str(ca.certificate),
            "worker_processes auto": "daemon off;\nworker_processes 1",
            "client_body_timeout 10s": f"client_body_timeout {HOLD_SECONDS}s",
            "server_tokens off;": f"server_tokens off; client_body_temp_path {directory}/bodies;"
            f" proxy_temp_path {directory}/answers;",
        }.items():
            assert theirs in text, theirs
            text = text.replace(theirs, ours)
        (directory / "nginx.conf").write_text(text.replace("#mtls ", "") if mutual else text)
        process = subprocess.Popen(
            [str(NGINX), "-p", str(directory), "-c", str(directory / "nginx.conf")], stderr=subprocess.PIPE
        )
        try:
            wait_for(port, process)
            yield Proxy(port, web, ca, directory)
        finally:
            process.terminate()
            process.communicate(timeout=PATIENCE_SECONDS)


def wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("nginx does not listen")


@pytest.fixture(scope="module")
def proxy(directory: Path) -> Iterator[Proxy]:
    with nginx(directory) as running:
        yield running


def test_a_signed_body_reaches_the_web_byte_for_byte(proxy: Proxy) -> None:
    large = RAW + b"x" * 3_000_000
    for body in (RAW, b"{}", large):
        answer = proxy.exchange(post(body))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert proxy.web.accepted[-1] == body
    chunked = post(RAW).replace(
        b"Content-Length: %d\r\n\r\n%b" % (len(RAW), RAW),
        b"Transfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n"
        % (RAW[:5], len(RAW) - 5, RAW[5:]),
    )
    assert proxy.exchange(chunked).startswith(b"HTTP/1.1 200")
    assert proxy.web.accepted[-1] == RAW


def test_metas_verification_passes_and_its_token_is_not_logged(proxy: Proxy) -> None:
    query = b"/webhook?hub.mode=subscribe&hub.verify_token=token&hub.challenge=1234"
    assert proxy.exchange(request(b"GET " + query)).endswith(b"1234")
    logs = "".join(path.read_text() for path in proxy.directory.glob("*.log"))
    assert "GET /webhook 200" in logs
    assert "verify_token" not in logs


@pytest.mark.parametrize(
    "path", [b"/", b"/metrics", b"/readyz", b"/healthz", b"/webhook/../metrics", b"//metrics"]
)
def test_nothing_else_is_reached(proxy: Proxy, path: bytes) -> None:
    assert proxy.exchange(request(b"GET " + path)).startswith(b"HTTP/1.1 404")


def test_what_is_not_signed_too_large_or_another_method_is_refused(proxy: Proxy) -> None:
    assert proxy.exchange(
        request(b"POST /webhook", FORGED.strip(), b"Content-Length: 2", body=b"{}")
    ).startswith(b"HTTP/1.1 401")
    assert proxy.exchange(request(b"POST /webhook", b"Content-Length: 4000000")).startswith(b"HTTP/1.1 413")
    assert proxy.exchange(request(b"DELETE /webhook")).startswith(b"HTTP/1.1 403")


def test_another_name_and_an_old_protocol_get_no_handshake(proxy: Proxy) -> None:
    with pytest.raises(ssl.SSLError):
        proxy.connect("elsewhere.example.com").close()


def test_an_address_that_floods_is_bounded_and_others_are_served(proxy: Proxy) -> None:
    held = request(b"POST /webhook", FORGED.strip(), b"Content-Length: 2", body=b"x")
    with ExitStack() as opened, DefaultSelector() as flood:
        for _ in range(MAX_CONNECTIONS + TOO_MANY):
            connection = opened.enter_context(proxy.connect(source="127.0.0.2"))
            connection.sendall(held)
            connection.setblocking(False)
            flood.register(connection, EVENT_READ)
        assert answers_of(flood, TOO_MANY) == {b"429"}
        assert proxy.exchange(post(RAW), source="127.0.0.2").startswith(b"HTTP/1.1 429")
        assert proxy.exchange(post(RAW)).startswith(b"HTTP/1.1 200")
        within = [key.fileobj for key in flood.get_map().values()]
        assert len(within) == MAX_CONNECTIONS
        for held_open in within:
            held_open.sendall(b"x")  # type: ignore[union-attr]
        assert answers_of(flood, MAX_CONNECTIONS) == {b"401"}


def answers_of(connections: BaseSelector, number: int) -> set[bytes]:
    """Take so many connections that are answered out of ``connections``; return the statuses."""
    answers: list[bytes] = []
    while len(answers) < number:
        ready = connections.select(PATIENCE_SECONDS)
        assert ready, f"{len(connections.get_map())} connections are not answered"
        for key, _ in ready[: number - len(answers)]:
            assert isinstance(key.fileobj, ssl.SSLSocket)
            with suppress(ssl.SSLWantReadError):  # what TLS itself has to say
                answers.append(key.fileobj.recv(65_536))
                connections.unregister(key.fileobj)
    return {answer.split(b" ")[1] for answer in answers}


def test_with_metas_client_certificate_nobody_else_gets_in(proxy: Proxy, directory: Path) -> None:
    other_directory = directory / "mutual"
    other_directory.mkdir()
    other_directory.chmod(0o711)
    with nginx(other_directory, mutual=True) as mutual:
        meta, mallory = signed_by(mutual.ca, META), signed_by(mutual.ca, f"not-{META}.example.com")
        elsewhere = other_directory / "elsewhere"
        elsewhere.mkdir()
        stranger = signed_by(authority(elsewhere, "authority"), META)
        assert mutual.exchange(post(RAW), client=meta).startswith(b"HTTP/1.1 200")
        assert mutual.web.accepted == [RAW]
        assert mutual.exchange(post(RAW)).startswith(b"HTTP/1.1 400")
        assert mutual.exchange(post(RAW), client=mallory).startswith(b"HTTP/1.1 403")
        assert mutual.exchange(post(RAW), client=stranger).startswith(b"HTTP/1.1 400")
        assert mutual.web.accepted == [RAW]
