"""Read no more of a target's answer than it may have, and little at a time: others wait on the same event loop."""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

MAX_READ_BYTES = 512 * 1024  # for one answer: heads, frames and interim answers count too
READ_BYTES = 16 * 1024  # at a time


class AnswerTooLong(httpcore.ReadError):
    """A target sends more than an answer may have."""


class AnswerMeter:
    """How much was read for the answer that is waited for, of one connection."""

    num_bytes = 0

    def begin(self) -> None:
        """Count from nothing: another request begins."""
        self.num_bytes = 0

    def count(self, num_bytes: int) -> None:
        """Count what was read; AnswerTooLong beyond MAX_READ_BYTES."""
        self.num_bytes += num_bytes
        if self.num_bytes > MAX_READ_BYTES:
            raise AnswerTooLong(f"more than {MAX_READ_BYTES} bytes came, and no more was read")


class MeteredStream(httpcore.AsyncNetworkStream):
    """A connection whose reads are counted."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, meter: AnswerMeter) -> None:
        self._stream = stream
        self._meter = meter

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        found = await self._stream.read(min(max_bytes, READ_BYTES), timeout)
        self._meter.count(len(found))
        return found

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return MeteredStream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._meter)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class MeteredBackend(httpcore.AsyncNetworkBackend):
    """Another backend, whose one connection is counted by a meter."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, meter: AnswerMeter) -> None:
        self._backend = backend
        self._meter = meter

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return MeteredStream(stream, self._meter)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)
