"""Posts to targets: kept connections, HTTP/2 where the target speaks it, to addresses that were checked.

httpcore and not httpx above it: it takes the backend that checks each address, and is a third cheaper for each request.
No proxy of the environment is used and no redirect followed. What is posted again, and when, the caller decides.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore

from app.targets.addresses import RefusedAddress, check_address
from app.targets.answers import TargetAnswer
from app.targets.reading import AnswerMeter, AnswerTooLong, MeteredBackend
from app.targets.target import Target

KEEPALIVE_SECONDS = 60.0
MAX_ANSWER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class AddressRules:
    """What an address is held against when it is connected to."""

    private_allowed: bool = False
    ourselves: tuple[tuple[str, int], ...] = ()  # addresses and ports; "" is any address of this machine


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Resolves a name once, checks what it leads to, and connects to the address that was checked."""

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        addresses = await resolve(host, port, self._rules)
        for number, address in enumerate(addresses, 1):
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(addresses):
                    raise
        raise httpcore.ConnectError("the name leads nowhere")

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


async def resolve(host: str, port: int, rules: AddressRules) -> list[str]:
    """Return the addresses of a name. httpcore.ConnectError if there is none, or one that is refused."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"the name {host} does not resolve: {error.strerror}") from error
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for address in addresses:  # one that is refused among others is no accident
        try:
            check_address(address, port, private_allowed=rules.private_allowed, ourselves=rules.ourselves)
        except RefusedAddress as error:
            raise httpcore.ConnectError(f"refused: {host} {error}") from error
    return addresses


class TargetClient:
    """The connections of one process to one target; to be used on one event loop."""

    def __init__(self, target: Target, rules: AddressRules) -> None:
        self._target = target
        self._backend = CheckedBackend(rules)
        self._context = ssl.create_default_context()
        # httpcore's pool looks at all its connections three times for each request: with one in each it costs a third.
        # The one that was used last is used first, so that few are kept where few are needed.
        self._free: list[tuple[httpcore.AsyncConnectionPool, AnswerMeter]] = []

    async def post(self, headers: Mapping[str, str], body: str) -> TargetAnswer:
        """Post once; every way in which that can end is an answer."""
        began = time.monotonic()
        limit = self._target.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                return await self._post(headers, body.encode(), began)
        except TimeoutError:
            error = f"not answered within {limit:g} s"
        except httpcore.ConnectTimeout:
            error = f"not connected within {self._target.connect_timeout_seconds:g} s"
        except (
            httpcore.TimeoutException,
            httpcore.NetworkError,
            httpcore.ProtocolError,
            ssl.SSLError,
        ) as raised:
            error = f"{type(raised).__name__}: {raised}" if str(raised) else type(raised).__name__
        return TargetAnswer(error=error, seconds=time.monotonic() - began)

    async def _post(self, headers: Mapping[str, str], body: bytes, began: float) -> TargetAnswer:
        pool, meter = self._free.pop() if self._free else self._connection()
        meter.begin()
        try:
            return await self._post_over(pool, headers, body, began)
        finally:
            self._free.append((pool, meter))

    def _connection(self) -> tuple[httpcore.AsyncConnectionPool, AnswerMeter]:
        meter = AnswerMeter()
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._context,
            max_connections=1,
            keepalive_expiry=KEEPALIVE_SECONDS,
            http2=True,
            network_backend=MeteredBackend(self._backend, meter),
        )
        return pool, meter

    async def _post_over(
        self, pool: httpcore.AsyncConnectionPool, headers: Mapping[str, str], body: bytes, began: float
    ) -> TargetAnswer:
        timeouts = {"connect": self._target.connect_timeout_seconds, "pool": self._target.timeout_seconds}
        async with pool.stream(
            "POST",
            self._target.url,
            headers=[(name.encode(), value.encode()) for name, value in headers.items()],
            content=body,
            extensions={"timeout": timeouts},
        ) as response:
            content, whole = bytearray(), True
            try:
                async for chunk in response.aiter_stream():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        whole = False
                        break
            except AnswerTooLong:
                whole = False
            found = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            return TargetAnswer(
                response.status,
                body=bytes(content),
                whole=whole,
                retry_after=found.get(b"retry-after"),
                date=found.get(b"date"),
                seconds=time.monotonic() - began,
            )

    async def close(self) -> None:
        for pool, _ in self._free:
            await pool.aclose()
