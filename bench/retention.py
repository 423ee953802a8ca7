"""How fast what is old is deleted, what that takes from the pipeline, and what becomes of the room:
``python -m bench.retention``.

The tables are filled with events that were done one a second until now; ``app.recovery.retention`` deletes the oldest.
"""

import statistics
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, create_engine

from app.recovery import retention
from app.recovery.retention import Purged, purge
from bench.options import Options
from bench.rows.pipeline import through
from bench.subjects import fill
from bench.subjects.catalog import NEVERDROP, Subject
from bench.subjects.fill import EVENTS_A_CONVERSATION
from bench.subjects.turn import Turn

BATCHES = (200, 5000, retention.AT_ONCE)  # that of the product comes last, and stays
SIZES = """
SELECT sum(pg_relation_size(oid)) FILTER (WHERE relkind IN ('r', 't')) / 1048576.0 AS rows,
       sum(pg_relation_size(oid)) FILTER (WHERE relkind = 'i') / 1048576.0 AS indexes
FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)
"""
DONE = "SELECT count(*) FROM outcomes WHERE state <> 'dead' AND id > {events}"  # not those that are being deleted
HALF = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY finished_at) FROM outcomes"
NEXT = "SELECT max(id) FROM events"  # a number that no event of ours was made from
LOG = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"


def filled(events: int) -> Subject:
    return Subject(
        NEVERDROP.name, NEVERDROP.web, NEVERDROP.consumers, NEVERDROP.redis_options,
        partial(fill.prepare, events=events),
        lambda stores: int(stores.query(DONE.format(events=events))), NEVERDROP.backlog,
    )  # fmt: skip


class Old:
    """The events of a turn that may be deleted, the oldest first."""

    def __init__(self, running: Turn, events: int) -> None:
        self.running = running
        url = running.stores.database_url.replace("postgresql://", "postgresql+psycopg2://")
        self.engine: Engine = create_engine(url)
        self.beginning = datetime.now(UTC) - timedelta(seconds=events)

    def delete(self, until: int, at_once: int = retention.AT_ONCE) -> dict[str, float]:
        """All up to this one of them; what it took."""
        retention.AT_ONCE = at_once
        log, began, used = self.running.stores.query(LOG), time.perf_counter(), self._cpu()
        purged = sum(purge(self.engine, self.beginning + timedelta(seconds=until)), Purged())
        seconds = time.perf_counter() - began
        return {
            "events/s": purged.events / seconds,
            "rows/s": purged.rows / seconds,
            "CPU µs an event": (self._cpu() - used) / purged.events * 1e6,
            "WAL bytes an event": float(self.running.stores.query(LOG) - log) / purged.events,
            "events": purged.events,
        }

    def delete_meanwhile(self, stop: threading.Event, until: int) -> int:
        """Until it is told to stop; how many events."""
        deleted = 0
        for purged in purge(self.engine, self.beginning + timedelta(seconds=until)):
            deleted += purged.events
            if stop.is_set():
                break
        return deleted

    def _cpu(self) -> float:
        own = psutil.Process().cpu_times()
        return self.running.cpu_seconds()["postgres"] + own.user + own.system


def share(console: Console, old: Old, running: Turn, drain: int, rounds: int, until: int) -> None:
    """Events done a second, with and without a purge that never rests beside them."""
    alone, beside, deleted = [], [], []
    for _ in range(rounds):
        alone.append(through(running, "mix", drain))
        stop, counts, began = threading.Event(), [], time.perf_counter()
        thread = threading.Thread(target=lambda: counts.append(old.delete_meanwhile(stop, until)))  # noqa: B023
        thread.start()
        beside.append(through(running, "mix", drain))
        stop.set()
        thread.join()
        deleted.append(counts[0] / (time.perf_counter() - began))
    ratios = [b / a for a, b in zip(alone, beside, strict=True)]
    console.print(f"events done/s: alone {statistics.median(alone):,.0f}, beside a purge without rest"
                  f" {statistics.median(beside):,.0f}; ratio {statistics.median(ratios):.2f}"
                  f" ({', '.join(f'{ratio:.2f}' for ratio in ratios)}); events deleted/s meanwhile"
                  f" {statistics.median(deleted):,.0f}")  # fmt: skip


def room(running: Turn) -> str:
    rows, indexes = running.stores.rows(SIZES)[0]
    return f"rows {rows:,.0f} MiB, indexes {indexes:,.0f} MiB"


def count(running: Turn) -> int:
    return int(running.stores.query("SELECT count(*) FROM events"))


def cycled(old: Old, running: Turn) -> str:
    """Delete the older half, vacuum, and store as many new ones; the room that it takes at each step."""
    before = count(running)
    cut = running.stores.query(HALF)
    list(purge(old.engine, cut))
    running.stores.query("VACUUM ANALYZE")
    halved = room(running)
    first, last = (running.stores.query(NEXT) + more for more in (1, before - count(running)))
    parameters = {"events": last, "per": EVENTS_A_CONVERSATION, "first": first, "last": last}
    running.stores.run(fill.ROWS, parameters)
    return f"half deleted, vacuum: {halved}; as many new ones: {room(running)}"


@click.command()
@click.option("--events", default=400_000, show_default=True, help="in the tables")
@click.option("--drain", default=4_000, show_default=True, help="events sent in each round of the pipeline")
@click.option(
    "--rounds", default=5, show_default=True, help="of the pipeline beside a purge; 0 leaves it out"
)
@click.option("--cycles", default=3, show_default=True, help="of deleting and filling up again")
def main(events: int, drain: int, rounds: int, cycles: int) -> None:
    """Print rates, shares and sizes."""
    console = Console(width=120)
    with (
        tempfile.TemporaryDirectory(prefix="nb-") as data,
        Options(Path(data)).turn(filled(events), postgres_options={"autovacuum": "off"}) as running,
    ):
        old = Old(running, events)
        console.print(f"{events:,} events: {room(running)}")
        table = Table("rows at once", *list(old.delete(events // 40)), box=None, pad_edge=False)
        for number, at_once in enumerate(BATCHES, start=1):
            found = old.delete(events // 40 + number * events // 20, at_once)
            table.add_row(f"{at_once:,}", *(f"{value:,.0f}" for value in found.values()))
        console.print(table)
        if rounds:
            share(console, old, running, drain, rounds, events)
        for cycle in range(1, cycles + 1):
            console.print(f"{cycle}: {cycled(old, running)}")
        old.engine.dispose()


if __name__ == "__main__":
    main()
