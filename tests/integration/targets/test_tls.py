"""Posting over TLS: HTTP/2 where the target speaks it, and only to who has a certificate of the name."""

import asyncio
import ssl
from pathlib import Path

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from app.targets.answers import TargetAnswer
from app.targets.client import AddressRules, TargetClient
from tests.helpers.targets import target
from tests.hostile.certificates import Certificate, authority, signed_by

BODY = '{"grüße": 1}'
HEADERS = {"Content-Length": str(len(BODY.encode())), "webhook-id": "evt_1_crm"}


class Http2Target(asyncio.Protocol):
    """Answers each request by what it was: its id and the length of its body."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Http2Target.connections += 1
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http2.initiate_connection()
        self._ids: dict[int, str] = {}
        self._bytes: dict[int, int] = {}
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            if isinstance(event, RequestReceived):
                self._ids[event.stream_id] = str(dict(event.headers)["webhook-id"])
                self._bytes[event.stream_id] = 0
            elif isinstance(event, DataReceived):
                self._bytes[event.stream_id] += len(event.data)
            elif isinstance(event, StreamEnded):
                answer = f"{self._ids[event.stream_id]} {self._bytes[event.stream_id]}".encode()
                self._http2.send_headers(event.stream_id, [(":status", "200")])
                self._http2.send_data(event.stream_id, answer, end_stream=True)
        self._flush()

    def _flush(self) -> None:
        self._transport.write(self._http2.data_to_send())


async def post(
    signed: Certificate, host: str, times: int, kind: type[Http2Target] = Http2Target
) -> list[TargetAnswer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(signed.certificate, signed.key)
    context.set_alpn_protocols(["h2"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(kind, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    client = TargetClient(target(f"https://{host}:{port}/hooks"), AddressRules(private_allowed=True))
    try:
        return [await client.post(HEADERS, BODY) for _ in range(times)]
    finally:
        await client.close()
        server.close()
        await server.wait_closed()


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """One of localhost, by an authority that this process trusts."""
    ca = authority(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.certificate))
    return signed_by(ca, "localhost")


def test_a_target_that_speaks_http2_is_spoken_to_so_over_one_connection(certificate: Certificate) -> None:
    Http2Target.connections = 0
    answers = asyncio.run(post(certificate, "localhost", 3))
    assert [answer.body.decode() for answer in answers] == [f"evt_1_crm {len(BODY.encode())}"] * 3
    assert Http2Target.connections == 1


def test_another_ones_certificate_is_refused(certificate: Certificate) -> None:
    (answer,) = asyncio.run(post(certificate, "127.0.0.1", 1))
    assert answer.status is None
    assert "CERTIFICATE_VERIFY_FAILED" in (answer.error or "")


class FloodingTarget(Http2Target):
    """Answers a request by pings without end."""

    def data_received(self, data: bytes) -> None:
        for event in self._http2.receive_data(data):
            if isinstance(event, RequestReceived):
                asyncio.get_running_loop().call_soon(self._ping)
        self._flush()

    def _ping(self) -> None:
        if not self._transport.is_closing():
            if self._transport.get_write_buffer_size() < 65_536:
                self._transport.write(b"\0\0\x08\x06\0\0\0\0\0flooding")
            asyncio.get_running_loop().call_soon(self._ping)


def test_frames_without_end_are_no_answer(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.targets.reading.MAX_READ_BYTES", 10_000)
    (answer,) = asyncio.run(post(certificate, "localhost", 1, FloodingTarget))
    assert "no more was read" in (answer.error or "")
