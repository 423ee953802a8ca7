"""The limit of Redis: LPUSH of a task's bytes over so many connections, each waiting for its answer.

What ``redis-benchmark`` would do; the wheel that brings Valkey does not bring it along. One process, its
connections side by side, no pipelining; its own cost is shown like a sender's.
"""

import selectors
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from redis import Redis

from app.dev.processes.children import Records, end
from app.dev.stack.embedded import valkey
from bench.measure import Figures
from bench.subjects.stores import PASSWORD, launch
from bench.traffic.tally import Histogram

MESSAGE_BYTES = 1_700  # of a task that carries one body
KEY = b"queue"


@contextmanager
def valkey_alone(path: Path, options: Mapping[str, str]) -> Iterator[str]:
    """A Valkey without a subject; its URL."""
    path.mkdir(parents=True, exist_ok=True)
    server = valkey(path / "valkey", PASSWORD, options)
    running = launch(server, Records.of_this_process(path), path)
    try:
        yield server.url
    finally:
        end([running])


def run(url: str, connections: int, seconds: float) -> Figures:
    """Push as fast as it is answered."""
    command = b"*3\r\n$5\r\nLPUSH\r\n$5\r\n%s\r\n$%d\r\n%s\r\n" % (KEY, MESSAGE_BYTES, b"x" * MESSAGE_BYTES)
    started_at: dict[socket.socket, float] = {}
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        for _ in range(connections):
            selector.register(_connect(url), selectors.EVENT_READ)
        cpu, started = time.process_time(), time.perf_counter()
        end_at = started + seconds
        for key in list(selector.get_map().values()):
            _push(key.fileobj, command, started_at)
        while (now := time.perf_counter()) < end_at:
            for key, _ in selector.select(0.1):
                found = key.fileobj
                found.recv(64)  # type: ignore[union-attr]
                latencies.append(time.perf_counter() - started_at[found])  # type: ignore[index]
                _push(found, command, started_at)
        elapsed, cpu = now - started, time.process_time() - cpu
        for key in list(selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
    histogram = Histogram.of(latencies)
    return {
        "req/s": len(latencies) / elapsed,
        "p50 ms": histogram.percentile(50) * 1e3,
        "p99 ms": histogram.percentile(99) * 1e3,
        "load CPU µs": cpu / len(latencies) * 1e6,
        "load cores": cpu / elapsed,
    }


def _connect(url: str) -> socket.socket:
    options = Redis.from_url(url).get_connection_kwargs()
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(options["path"])
    connection.sendall(b"AUTH %s\r\n" % options["password"].encode())
    connection.recv(64)
    return connection


def _push(connection: object, command: bytes, started_at: dict[socket.socket, float]) -> None:
    assert isinstance(connection, socket.socket)  # noqa: S101  (what was registered)
    started_at[connection] = time.perf_counter()
    connection.sendall(command)
