"""How long live messages wait beside an import, a replay, or replies that wait: ``python -m bench.latency``.

Real processes with default settings: a web, an ingest, a worker, a sender, beat and both stores, and the stand-in for
Meta. Messages are posted at a steady
rate; measured is from the beginning of the POST to the beginning of the handler, by the clock of this machine.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import click
from rich.console import Console
from rich.table import Table

from app.broker import wake_senders
from app.dev.stack import free_port
from app.dev.stack import programs as pipeline
from app.stores import redis
from bench.subjects.cluster import Cluster, running
from bench.subjects.sends import fill
from bench.traffic.bodies import Traffic, body, wamid

HANDLERS = "bench.subjects.handlers_of_all"
HISTORY_A_BODY = 100
FIRST_HISTORY = 50_000_000
FIRST_OLD = 60_000_000
DRAIN_SECONDS = 600
SEND_SECONDS = 1200
WARM = 50

TABLE = "CREATE TABLE bench_starts (key text, replayed boolean, started_at float8)"
STARTS = "SELECT key, started_at FROM bench_starts WHERE NOT replayed"
HISTORY_LEFT = "SELECT count(*) FROM jobs j JOIN events e ON e.id = j.event_id WHERE e.type = 'history'"
HISTORY = "SELECT count(*) FROM events WHERE type = 'history'"
LEFT = "SELECT count(*) FROM jobs"
EVENTS = "SELECT count(*) FROM events"
SENDS_LEFT = "SELECT count(*) FROM sends WHERE holds"


@click.command()
@click.option("--rate", default=20, show_default=True, help="Live messages a second.")
@click.option("--seconds", default=30, show_default=True, help="Of live messages on an idle machine.")
@click.option("--history", default=12_000, show_default=True, help="Messages of an import.")
@click.option("--replayed", default=20_000, show_default=True, help="Events that are run again.")
@click.option("--replies", default=100_000, show_default=True, help="That wait in the outbox at once.")
def main(rate: int, seconds: int, history: int, replayed: int, replies: int) -> None:
    """Measure live messages on this machine: alone, and beside an import, a replay, and replies that wait."""
    table = Table("live messages", "count", "start p50", "start p99", "worst", "the other took", box=None)
    port = free_port()
    others = [pipeline.graph(port, "http://127.0.0.1:9/webhook"), pipeline.sender()]
    variables = {
        "HANDLERS": HANDLERS, "WHATSAPP_API_URL": f"http://127.0.0.1:{port}", "WHATSAPP_ACCESS_TOKEN": "bench",
    }  # fmt: skip
    with (
        tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory,
        running(Path(directory), 1, lambda stores: stores.query(TABLE), others, **variables) as cluster,
    ):
        live = _Live(cluster, rate)
        live.run(WARM / rate)
        table.add_row("alone", *_shown(live.run(seconds)), "")
        began = time.monotonic()
        beside = live.run_beside(lambda: _import(cluster, history))
        table.add_row(
            f"beside an import of {history:,} messages", *_shown(beside), f"{time.monotonic() - began:.0f} s"
        )
        _store_old(cluster, replayed)
        began = time.monotonic()
        beside = live.run_beside(_replay)
        table.add_row(
            f"beside a replay of {replayed:,} events", *_shown(beside), f"{time.monotonic() - began:.0f} s"
        )
        fill(replies)
        began = time.monotonic()
        beside = live.run_beside(lambda: _send(cluster))
        table.add_row(f"beside {replies:,} replies", *_shown(beside), f"{time.monotonic() - began:.0f} s")
    Console(width=120).print(table)


class _Live:
    """Posts messages at a steady rate, each of a conversation of its own."""

    def __init__(self, cluster: Cluster, rate: int) -> None:
        self._cluster, self._rate = cluster, rate
        self._number = 0

    def run(self, seconds: float) -> list[float]:
        """Post for so long; how long each took to begin, the quickest first."""
        end_at = time.monotonic() + seconds
        return self._post_while(lambda: time.monotonic() < end_at)

    def run_beside(self, other: Callable[[], object]) -> list[float]:
        """Post for as long as something else goes on."""
        thread = threading.Thread(target=other)
        thread.start()
        return self._post_while(thread.is_alive)

    def _post_while(self, goes_on: Callable[[], bool]) -> list[float]:
        posted: dict[str, float] = {}
        at = time.monotonic()
        while goes_on():
            at += 1 / self._rate
            time.sleep(max(0, at - time.monotonic()))
            self._number += 1
            posted[f"message:{wamid(self._number)}"] = time.time()
            self._cluster.post(body(Traffic(conversations=1_000_000), self._number))
        self._cluster.until(lambda: posted.keys() <= self._starts().keys(), DRAIN_SECONDS, "the last message")
        starts = self._starts()
        return sorted(starts[key] - began for key, began in posted.items())

    def _starts(self) -> dict[str, float]:
        return dict(self._cluster.stores.rows(STARTS))


def _import(cluster: Cluster, count: int) -> None:
    """Post a history, and wait until all of it is done."""
    for first in range(0, count, HISTORY_A_BODY):
        cluster.post(
            _history(range(FIRST_HISTORY + first, FIRST_HISTORY + min(first + HISTORY_A_BODY, count)))
        )
    query = cluster.stores.query
    cluster.until(lambda: query(HISTORY) >= count and query(HISTORY_LEFT) == 0, DRAIN_SECONDS, "the import")


def _history(numbers: range) -> bytes:
    """A body of messages of long ago."""
    bodies = [json.loads(body(Traffic(conversations=1_000_000), number)) for number in numbers]
    change = bodies[0]["entry"][0]["changes"][0]
    change["field"] = "history"
    change["value"]["messages"] = [each["entry"][0]["changes"][0]["value"]["messages"][0] for each in bodies]
    return json.dumps(bodies[0]).encode()


def _store_old(cluster: Cluster, count: int) -> None:
    """Let messages be done that are replayed afterwards: 100 in a body, 20 in a conversation."""
    for first in range(FIRST_OLD, FIRST_OLD + count, HISTORY_A_BODY):
        traffic = Traffic(conversations=count // 20)
        bodies = [json.loads(body(traffic, number)) for number in range(first, first + HISTORY_A_BODY)]
        changes = [each["entry"][0]["changes"][0] for each in bodies]
        bodies[0]["entry"][0]["changes"] = changes
        cluster.post(json.dumps(bodies[0]).encode())
    cluster.until(
        lambda: cluster.stores.query(EVENTS) >= count and cluster.stores.query(LEFT) == 0,
        DRAIN_SECONDS,
        "the events",
    )


def _send(cluster: Cluster) -> None:
    """Wait until no reply waits any more."""
    wake_senders(redis())
    cluster.until(lambda: cluster.stores.query(SENDS_LEFT) == 0, SEND_SECONDS, "the replies")


def _replay() -> None:
    command = [
        str(Path(sys.executable).with_name("neverdrop")),
        "replay",
        "--kind",
        "message",
        "--reason",
        "measured",
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603


def _shown(seconds: list[float]) -> tuple[str, ...]:
    p99 = seconds[int(len(seconds) * 0.99)]
    return (f"{len(seconds):,}", *(f"{each * 1000:.0f} ms" for each in (median(seconds), p99, seconds[-1])))


if __name__ == "__main__":
    main()
