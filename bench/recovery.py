"""How long until what a killed worker was in the middle of runs again: ``python -m bench.recovery``.

Real processes with default settings: an ingest, three workers, beat and both stores. A message is in its handler; then
what runs it is killed, and started again as a platform does. Measured is from the kill to the second attempt's
beginning, by the clock of this machine; where the attempt went on to its end beside its dead main process, to its end.
"""

import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click
import psutil
from rich.console import Console
from rich.table import Table

from bench.subjects.cluster import Cluster, running
from bench.traffic.bodies import Traffic, body, wamid

WORKERS = 3
HANDLERS = "bench.subjects.held_handlers"
HOLD_SECONDS = {"main": 2.0}  # an orphan of the pool ends its attempt
BEGIN_SECONDS = 60
AGAIN_SECONDS = 90
PAUSE_SECONDS = (0.5, 1.5)  # so that kills meet every moment of a beat

BEGUN = """
SELECT worker FROM jobs WHERE begun_at IS NOT NULL AND event_id = (SELECT id FROM events WHERE key = %s)
"""
ENDED = """
SELECT CAST(extract(epoch FROM CASE attempts WHEN 1 THEN finished_at ELSE begun_at END) AS float8)
FROM outcomes WHERE attempts > 0 AND event_id = (SELECT id FROM events WHERE key = %s)
"""

Kill = Callable[[psutil.Process, psutil.Process], None]  # of a worker's main process and one of its pool


def _kill_pool(_main: psutil.Process, child: psutil.Process) -> None:
    child.kill()


def _kill_main(main: psutil.Process, _child: psutil.Process) -> None:
    main.kill()


def _kill_worker(main: psutil.Process, _child: psutil.Process) -> None:
    os.killpg(main.pid, signal.SIGKILL)


class Case(NamedTuple):
    """What is killed, as the table says it."""

    name: str
    kill: Kill


CASES = {
    "pool": Case("a pool process", _kill_pool),
    "main": Case("a worker's main process alone; its pool ends what it is at", _kill_main),
    "worker": Case("a worker: main process and pool at once", _kill_worker),
}


@click.command()
@click.option("--kills", default=50, show_default=True, help="Of each kind.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(list(CASES)), help="By default each.")
def main(kills: int, kinds: tuple[str, ...]) -> None:
    """Kill workers in the middle of handlers on this machine."""
    table = Table("killed", "times", "p50", "p99", "worst", box=None)
    for kind in kinds or CASES:
        hold_seconds = str(HOLD_SECONDS.get(kind, 60.0))
        with (
            tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory,
            running(Path(directory), WORKERS, HANDLERS=HANDLERS, BENCH_HOLD_SECONDS=hold_seconds) as cluster,
        ):
            seconds = sorted(_recovery(cluster, number, CASES[kind].kill) for number in range(1, kills + 1))
        shown = (
            seconds[len(seconds) // 2],
            seconds[min(len(seconds) - 1, int(len(seconds) * 0.99))],
            seconds[-1],
        )
        table.add_row(CASES[kind].name, str(kills), *(f"{each:.2f} s" for each in shown))
    Console(width=120).print(table)


def _recovery(cluster: Cluster, number: int, kill: Kill) -> float:
    """Seconds from one kill until the attempt that it hit is made up for."""
    time.sleep(random.uniform(*PAUSE_SECONDS))
    cluster.post(body(Traffic(), number))  # each of a conversation of its own
    key = f"message:{wamid(number)}"
    worker = cluster.until(lambda: cluster.stores.query(BEGUN, key), BEGIN_SECONDS, "the handler")
    name, _, pid = str(worker).rpartition("/")
    main = cluster.supervisor[name.partition("@")[0]].process
    killed_at = time.time()
    kill(main, psutil.Process(int(pid)))
    ended = cluster.until(lambda: cluster.stores.query(ENDED, key), AGAIN_SECONDS, "the next attempt")
    return float(ended) - killed_at


if __name__ == "__main__":
    main()
