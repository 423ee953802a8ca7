"""Neverdrop in the form of the public benchmark of Postgres job queues: ``python -m bench.cells``.

Its five fault cells and four pressure cells (github.com/hardbyte/postgresql-job-queue-benchmarking, docs/method.md),
each as phases of equal length after a warm-up: baseline, stress, recovery. Real processes with default settings, order
kept in each conversation: a web, an ingest, two workers, beat and both stores on this machine, which makes the load
too. Its phases last minutes to hours; these last as long as ``--seconds`` says.
"""

import math
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
import psycopg2
from rich.console import Console
from rich.table import Table

from bench.subjects import stress
from bench.subjects.cluster import Cluster, running
from bench.traffic.bodies import Traffic
from bench.traffic.load import prepared
from bench.traffic.sender import Order
from bench.traffic.tally import Histogram

HANDLERS = "bench.subjects.handlers_of_all"
TABLE = "CREATE TABLE bench_starts (key text, replayed boolean, started_at float8)"
WORKERS = 2
CONNECTIONS = 16
CONVERSATIONS = 500
MORE_FIRST = 40_000_000  # the numbers of the load that comes on top
WARM_SECONDS = 5.0
DRAIN_SECONDS = 300
LITTLE_SECONDS = 1.0  # of traffic that waits: less than that is no backlog

STARTS = """
SELECT CAST(extract(epoch FROM e.accepted_at) AS float8), s.started_at
FROM bench_starts s JOIN events e USING (key)
"""
LEFT = "SELECT count(*) FROM jobs"
TWICE = "SELECT count(*) - count(DISTINCT key) FROM bench_starts"
OUT_OF_ORDER = """
SELECT count(*) FROM (
  SELECT o.late, o.begun_at < lag(o.begun_at) OVER (
    PARTITION BY o.lane ORDER BY e.occurred_at, e.delivery_id, e.position) AS overtaken
  FROM outcomes o JOIN events e ON e.id = o.event_id
) AS pair WHERE overtaken AND NOT late
"""
DEAD_ROWS = "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'jobs'"


class Cell(NamedTuple):
    """What is done in the phase of stress; ``load``: how many times the baseline's rate; ``phases``: how long."""

    title: str
    stress: stress.Stress
    load: float = 1
    phases: int = 1


CELLS = {
    "crash": Cell("a worker is killed, and comes back after it", stress.kill_worker),
    "kills": Cell("a worker is killed every 10 s", stress.kill_again_and_again),
    "postgres": Cell("Postgres is away for half of it", stress.restart_postgres),
    "backends": Cell("2 connections a second are terminated", stress.terminate_backends),
    "connections": Cell("all connections of Postgres are taken", stress.exhaust_connections),
    "idle": Cell("a transaction is held open", stress.idle_in_transaction),
    "readers": Cell("4 transactions read all tables", stress.read_all),
    "burst": Cell("3 times the load", stress.nothing, load=3),
    "sustained": Cell("1.5 times the load, 4 times as long", stress.nothing, load=1.5, phases=4),
}


class Phase(NamedTuple):
    """A part of a cell, in seconds since the epoch."""

    began: float
    ended: float


Start = tuple[float, float]  # of a message: when it was accepted, when its handler began


class _Watch:
    """Asks Postgres beside the pipeline, on a connection that outlives the stress where it can."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._connection = self._connect()

    def _connect(self) -> Any:
        connection: Any = psycopg2.connect(
            self._cluster.stores.database_url, application_name=stress.OWN_NAME
        )
        connection.autocommit = True
        return connection

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """psycopg2's error while Postgres is away."""
        if self._connection.closed:
            self._connection = self._connect()
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            found: list[tuple[Any, ...]] = cursor.fetchall()
        return found

    def first(self, sql: str) -> int:
        return int(self.rows(sql)[0][0])

    def waiting(self) -> float:
        """How many messages are accepted and not done; endless while Postgres is away."""
        try:
            return float(self._cluster.stores.redis.hlen("journal") + self.first(LEFT))
        except psycopg2.Error:
            return math.inf

    def close(self) -> None:
        self._connection.close()


@click.command()
@click.option("--rate", default=300, show_default=True, help="Messages a second of the baseline.")
@click.option("--seconds", default=20.0, show_default=True, help="Of each phase.")
@click.option("--only", "names", multiple=True, type=click.Choice(list(CELLS)), help="By default each.")
def main(rate: int, seconds: float, names: Sequence[str]) -> None:
    """Measure messages under faults and pressure on this machine."""
    console = Console(width=200)
    table = Table(
        "stress", "done/s: baseline", "stress", "recovery", "start p99: baseline", "stress", "recovery",
        "caught up after", "dead rows of jobs", "lost", "twice", "out of order", box=None,
    )  # fmt: skip
    for name in names or CELLS:
        table.add_row(CELLS[name].title, *_cell(CELLS[name], rate, seconds))
        console.print(f"{name}: measured", highlight=False)
    console.print(table)


def _cell(cell: Cell, rate: int, seconds: float) -> Iterator[str]:
    with (
        tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory,
        running(Path(directory), WORKERS, lambda stores: stores.query(TABLE), HANDLERS=HANDLERS) as cluster,
        closing(_Watch(cluster)) as watch,
    ):
        accepted, phases, caught_up, dead_rows = _run(cluster, watch, cell, rate, seconds)
        cluster.until(lambda: watch.waiting() == 0, DRAIN_SECONDS, "the last message")
        starts = watch.rows(STARTS)
        twice = watch.first(TWICE)
        yield from (f"{_rate(starts, phase):,.0f}" for phase in phases)
        yield from (f"{_p99_ms(starts, phase):,.0f} ms" for phase in phases)
        yield f"{caught_up:.1f} s"
        yield f"{dead_rows:,}"
        yield f"{accepted + twice - len(starts):,}"
        yield f"{twice:,}"
        yield f"{watch.first(OUT_OF_ORDER):,}"


def _run(
    cluster: Cluster, watch: _Watch, cell: Cell, rate: int, seconds: float
) -> tuple[int, list[Phase], float, int]:
    """Put a cell's load on the pipeline.

    Returns how many posts were accepted, its phases, the seconds until little waited again, and the dead rows.
    """
    stress_seconds = seconds * cell.phases
    traffic = Traffic(conversations=CONVERSATIONS)
    with ExitStack() as stack:
        order = Order(
            cluster.port, traffic, CONNECTIONS, seconds=WARM_SECONDS + 2 * seconds + stress_seconds, rate=rate
        )
        loads = [stack.enter_context(prepared(order))]
        if cell.load > 1:
            more = replace(
                order,
                traffic=replace(traffic, first=MORE_FIRST),
                seconds=stress_seconds,
                rate=rate * (cell.load - 1),
            )
            loads.append(stack.enter_context(prepared(more)))
        loads[0].begin()
        _pass(cluster, WARM_SECONDS)
        baseline = _pass(cluster, seconds)
        for load in loads[1:]:
            load.begin()
        with closing(cell.stress(cluster, stress_seconds)) as acting:
            stressed = _pass(cluster, stress_seconds, acting)
        dead_rows = watch.first(DEAD_ROWS)
        caught_up: list[float] = []
        looking = _look_until_little(watch, rate, caught_up)
        recovery = _pass(cluster, seconds, looking)
        accepted = sum(load.result().accepted for load in loads)
        cluster.until(lambda: next(looking, None) or caught_up, DRAIN_SECONDS, "a short queue")
    return accepted, [baseline, stressed, recovery], caught_up[0] - stressed.ended, dead_rows


def _pass(cluster: Cluster, seconds: float, acting: Iterator[None] | None = None) -> Phase:
    """Let a phase pass, and start again what ends meanwhile."""
    began = time.time()
    while time.time() < began + seconds:
        if acting:
            next(acting)
        cluster.supervisor.restart_ended()
        time.sleep(stress.TICK_SECONDS)
    return Phase(began, time.time())


def _look_until_little(watch: _Watch, rate: int, found: list[float]) -> Iterator[None]:
    """Note the first moment at which no backlog is left."""
    while True:
        if not found and watch.waiting() < rate * LITTLE_SECONDS:
            found.append(time.time())
        yield


def _rate(starts: Sequence[Start], phase: Phase) -> float:
    began = sum(phase.began <= started < phase.ended for _, started in starts)
    return began / (phase.ended - phase.began)


def _p99_ms(starts: Sequence[Start], phase: Phase) -> float:
    """From the acceptance to the beginning of the handler, of what was accepted in this phase."""
    waits = (started - accepted for accepted, started in starts if phase.began <= accepted < phase.ended)
    return Histogram.of(waits).percentile(99) * 1000


if __name__ == "__main__":
    main()
