"""How long a reply takes from its commit to Meta, and how many leave a second: ``python -m bench.replies``.

One sender on this machine posts to the stand-in for Meta beside it. A reply is a row of the outbox, as a handler writes
it; it has reached Meta when the stand-in has read the request.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import httpx
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from app.broker import wake_senders
from app.dev.processes.children import Records, Running, end, start
from app.dev.stack import free_port
from app.dev.stack import programs as pipeline
from app.outbox import NewSend, parse, write
from app.stores import engine, migrate, redis
from bench.subjects.sends import NUMBERS, fill
from bench.subjects.stores import Stores, until

PAUSE_SECONDS = 0.02
START_SECONDS = 60
DRAIN_SECONDS = 1800
LEFT = text("SELECT count(*) FROM sends WHERE state <> 'accepted'")


@click.command()
@click.option("--single", default=300, show_default=True, help="Replies of which each waits for nothing.")
@click.option("--backlog", default=10_000, show_default=True, help="Replies that wait all at once.")
def main(single: int, backlog: int) -> None:
    """Measure the outbox on this machine."""
    with (
        tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory,
        _running(Path(directory)) as graph_url,
    ):
        latencies = _latencies(single, graph_url)
        seconds = _drain(backlog)
    table = Table("what", "figure", box=None)
    table.add_row("commit to POST, p50", f"{statistics.median(latencies) * 1000:.1f} ms")
    table.add_row("commit to POST, p99", f"{sorted(latencies)[int(len(latencies) * 0.99)] * 1000:.1f} ms")
    table.add_row(f"{backlog:,} replies of {NUMBERS} numbers, drained", f"{backlog / seconds:,.0f} a second")
    Console().print(table)


def _latencies(count: int, graph_url: str) -> list[float]:
    """Seconds from the commit of each reply to the moment at which the stand-in has read it."""
    committed: dict[str, float] = {}
    for number in range(1, count + 1):
        send = NewSend(
            number, "bench", "1", "1000", f"c{number}", parse(str(15_550_000_000 + number)),
            {"type": "text", "text": {"body": str(number)}},
        )  # fmt: skip
        with engine().begin() as connection:
            write(connection, send)
        committed[str(number)] = time.time()
        wake_senders(redis())
        until(lambda: _left() == 0, START_SECONDS, "the reply")
        time.sleep(PAUSE_SECONDS)
    sent = httpx.get(f"{graph_url}/chat/messages", trust_env=False, timeout=60).json()["messages"]
    return [each["at"] - committed[each["message"]["text"]["body"]] for each in sent]


def _drain(count: int) -> float:
    """Seconds until so many replies have left that were committed at once."""
    fill(count)
    began = time.perf_counter()
    wake_senders(redis())
    until(lambda: _left() == 0, DRAIN_SECONDS, "the backlog's end")
    return time.perf_counter() - began


def _left() -> int:
    with engine().connect() as connection:
        return int(connection.execute(LEFT).scalar_one())


@contextmanager
def _running(path: Path) -> Iterator[str]:
    """Stores, stand-in, sender and sweeps; yields the stand-in's address."""
    stores = Stores.start(path, {"appendonly": "yes", "appendfsync": "always"})
    port = free_port()
    graph_url = f"http://127.0.0.1:{port}"
    os.environ |= {
        "NEVERDROP_ENV": "development", "REDIS_URL": stores.redis_url, "DATABASE_URL": stores.database_url,
        "WHATSAPP_API_URL": graph_url, "WHATSAPP_ACCESS_TOKEN": "bench",
    }  # fmt: skip
    migrate()
    records = Records.of_this_process(path)
    running: list[Running] = []
    try:
        stand_in = pipeline.graph(port, "http://127.0.0.1:9/webhook")
        for program in (stand_in, pipeline.ingest(), pipeline.sender(), pipeline.beat()):
            with (path / f"{program.name}.log").open("wb") as log:
                running.append(start(program, records, log))
        until(lambda: _answers(graph_url), START_SECONDS, "the stand-in")
        httpx.post(f"{graph_url}/chat/faults", json={"no_status": True}, trust_env=False).raise_for_status()
        yield graph_url
    finally:
        end(running)
        engine().dispose()
        stores.end()


def _answers(url: str) -> Any:
    try:
        return httpx.get(f"{url}/chat/faults", trust_env=False).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
