"""How many events a second one forwarder posts to a fast target, and how late: ``python -m bench.targets``.

The target is a process on this machine that reads each request and answers 200 at once. Events, lanes and jobs are
rows, as ingest writes them.
"""

import asyncio
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.broker import wake_forwarders
from app.dev.processes.children import Records, Running, end, start
from app.dev.stack import free_port
from app.dev.stack import programs as pipeline
from app.stores import engine, migrate, redis
from bench.subjects.stores import Stores, until

CONVERSATIONS = 2000
START_SECONDS = 60
DRAIN_SECONDS = 1800
PAUSE_SECONDS = 0.02
SECRET = "whsec_YSBzZWNyZXQgb2YgdGhlIGJlbmNo"  # noqa: S105
TEXT = "hello " * 20
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
NAME = text("INSERT INTO lane_names (id, name) VALUES (-1, 'target:forward') ON CONFLICT DO NOTHING")
LANES = text("""
INSERT INTO lanes (id, conversation_id, lane_name_id)
SELECT i, i, -1 FROM generate_series(1, :conversations) AS i ON CONFLICT DO NOTHING
""")
EVENTS = text("""
WITH stored AS (
  INSERT INTO events (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload)
  SELECT 'message:' || i, gen_random_uuid(), 0, 1 + i % :conversations, now() + make_interval(secs => i / 1000000.0),
         now() - interval '1 minute', 'message', 'text', json_build_object('entry', '1', 'field', 'messages',
         'value', json_build_object('messaging_product', 'whatsapp', 'metadata',
                                    json_build_object('phone_number_id', '1000')),
         'item', json_build_object('from', '15550000001', 'id', 'wamid.' || i, 'timestamp', '1790000000',
                                   'type', 'text', 'text', json_build_object('body', CAST(:text AS text))))::text
  FROM generate_series(:first, :last) AS i
  RETURNING *
)
INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler)
SELECT id, id, lane, -1, occurred_at, delivery_id, position, clock_timestamp(), 'target:forward' FROM stored
""")
LEFT = text("SELECT count(*) FROM jobs")
LATENCIES = text("SELECT extract(epoch FROM begun_at - :since) FROM outcomes ORDER BY id DESC LIMIT 1")


@click.command()
@click.option("--single", default=200, show_default=True, help="Events of which each waits for nothing.")
@click.option("--backlog", default=20_000, show_default=True, help="Events that wait all at once.")
@click.option("--forwarders", default=1, show_default=True, help="Processes.")
def main(single: int, backlog: int, forwarders: int) -> None:
    """Measure forwarding on this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory,
        _running(Path(directory), forwarders) as running,
    ):
        latencies = [_one(number) for number in range(1, single + 1)]
        before = _cpu_seconds(running)
        seconds = _drain(backlog)
        cpu_us = (_cpu_seconds(running) - before) / backlog * 1_000_000
    table = Table("what", "figure", box=None)
    table.add_row("commit to the attempt, p50", f"{statistics.median(latencies) * 1000:.1f} ms")
    table.add_row(
        "commit to the attempt, p99", f"{sorted(latencies)[int(len(latencies) * 0.99)] * 1000:.1f} ms"
    )
    table.add_row(f"{backlog:,} events, forwarders {forwarders}", f"{backlog / seconds:,.0f} a second")
    table.add_row("of which each costs the forwarder", f"{cpu_us:,.0f} µs of CPU")
    Console().print(table)


def _cpu_seconds(running: list[Running]) -> float:
    return sum(sum(each.process.cpu_times()[:2]) for each in running)


def _fill(first: int, last: int) -> None:
    sizes = {"conversations": CONVERSATIONS, "first": first, "last": last, "text": TEXT}
    with engine().begin() as connection:
        connection.execute(EVENTS, sizes)


def _one(number: int) -> float:
    """Seconds from the commit of a job until its attempt began."""
    _fill(number, number)
    with engine().connect() as connection:
        since = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    wake_forwarders(redis())
    until(lambda: _left() == 0, START_SECONDS, "the event")
    time.sleep(PAUSE_SECONDS)
    with engine().connect() as connection:
        return max(0.0, float(connection.execute(LATENCIES, {"since": since}).scalar_one()))


def _drain(count: int) -> float:
    _fill(1_000_000, 1_000_000 + count - 1)
    began = time.perf_counter()
    wake_forwarders(redis())
    until(lambda: _left() == 0, DRAIN_SECONDS, "the backlog's end")
    return time.perf_counter() - began


def _left() -> int:
    with engine().connect() as connection:
        return int(connection.execute(LEFT).scalar_one())


class FastTarget(asyncio.Protocol):
    """Reads requests and answers each at once."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end].lower()
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._transport.write(OK)  # type: ignore[attr-defined]


def _serve(port: int) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(FastTarget, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(serve())


@contextmanager
def _running(path: Path, forwarders: int) -> Iterator[list[Running]]:
    stores = Stores.start(path, {"appendonly": "yes", "appendfsync": "always"})
    port = free_port()
    os.environ |= {
        "NEVERDROP_ENV": "development", "REDIS_URL": stores.redis_url, "DATABASE_URL": stores.database_url,
        "FORWARD_URL": f"http://127.0.0.1:{port}/hooks", "FORWARD_SECRET": SECRET,
    }  # fmt: skip
    migrate()
    with engine().begin() as connection:
        connection.execute(NAME)
        connection.execute(LANES, {"conversations": CONVERSATIONS})
    target = multiprocessing.get_context("spawn").Process(target=_serve, args=(port,), daemon=True)
    target.start()
    records = Records.of_this_process(path)
    running: list[Running] = []
    try:
        for number in range(1, forwarders + 1):
            with (path / f"forwarder{number}.log").open("wb") as log:
                running.append(start(pipeline.forwarder(number), records, log))
        _fill(900_000, 900_000)
        until(lambda: _left() == 0, START_SECONDS, "the first event")
        yield running
    finally:
        end(running)
        target.kill()
        engine().dispose()
        stores.end()


if __name__ == "__main__":
    main()
