"""Whether the table of events were better in parts: ``python -m bench.partitions``.

Each of ``variants`` is filled with the same events and asked the same, in turns: the insert of ingest, the statements
of a lane, the end of what is old. Then the planner is asked about so many more events as no disk here holds
(``planner``). Ratios are to the table as it is.
"""

import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import psycopg2
from rich.console import Console
from rich.table import Table

from app.dev.processes import Records, watch
from bench.partitions.subject import Subject
from bench.partitions.variants import VARIANTS
from bench.rows.tables import NoRoomError
from bench.subjects.catalog import NEVERDROP
from bench.subjects.stores import Stores

BYTES_AN_EVENT = 2_500  # of disk, in each variant
MAX_BYTES = 8 * 2**30
ROUNDS = 9
# Whole pages in the log come by chance, after each checkpoint: they would hide what a variant writes
POSTGRES = {
    "autovacuum": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "512MB",
}

Figures = dict[str, dict[str, list[float]]]  # variant → figure → one value a round


@contextmanager
def subjects(path: Path, events: int) -> Iterator[list[Subject]]:
    """One server; each variant in a database of its own."""
    records = Records.of_this_process(path)
    with ExitStack() as opened:
        opened.callback(watch(records).stop)  # which ends the servers if this process is killed
        stores = Stores.start(path, NEVERDROP.redis_options, POSTGRES)
        opened.callback(stores.end)
        found = []
        for variant in VARIANTS:
            stores.query(f"CREATE DATABASE {variant.name}")
            url = stores.database_url.replace("/bench?", f"/{variant.name}?")
            connection: Any = psycopg2.connect(url)
            connection.autocommit = True
            opened.callback(connection.close)
            found.append(Subject(variant, replace(stores, database_url=url, connection=connection), events))
        yield found


def in_turns(found: list[Subject], ask: Callable[[Subject], Any], rounds: int) -> Figures:
    """Each round asks every variant, the first of them another each time."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        first = number % len(found)
        for subject in found[first:] + found[:first]:
            for figure, value in dict(ask(subject)).items():
                figures[subject.variant.name][figure].append(value)
    return figures


def show(console: Console, title: str, figures: Figures) -> None:
    """Medians, and beside each the median of its ratios to the table as it is, round by round."""
    names = [variant.name for variant in VARIANTS if variant.name in figures]
    table = Table("", *names, title=title, title_justify="left", box=None, pad_edge=False)
    for figure in dict.fromkeys(figure for found in figures.values() for figure in found):
        base = figures["plain"].get(figure)
        table.add_row(figure, *(_cell(figures[name].get(figure), base) for name in names))
    console.print(table)


def _cell(values: list[float] | None, base: list[float] | None) -> str:
    if not values:
        return ""
    shown = f"{statistics.median(values):,.{2 if statistics.median(values) < 10 else 0}f}"
    if base is None or base is values or not all(base):
        return shown
    return f"{shown} ({statistics.median(v / b for v, b in zip(values, base, strict=True)):.2f})"


@click.command()
@click.option("--events", default=400_000, show_default=True, help="in each variant")
@click.option("--planned", default=100_000_000, show_default=True, help="events that the planner is told of")
def main(events: int, planned: int) -> None:
    """Print what each variant costs."""
    needed = events * BYTES_AN_EVENT * len(VARIANTS)
    with tempfile.TemporaryDirectory(prefix="nb-") as data:
        if needed > min(MAX_BYTES, shutil.disk_usage(data).free / 2):
            raise NoRoomError(f"{events:,} events in each variant take {needed / 2**30:.0f} GiB")
        console = Console(width=140)
        with subjects(Path(data), events) as found:
            show(console, f"{events:,} events, {ROUNDS} rounds", in_turns(found, lambda s: s.round(), ROUNDS))
            show(console, "pages", in_turns(found, Subject.pages, 3))
            show(console, "the end of what is old", in_turns(found, lambda s: s.end_of_the_oldest(events), 1))
            show(console, "besides", in_turns(found, Subject.besides, 1))
            factor = planned / events
            show(console, f"planned for {planned:,} events", in_turns(found, lambda s: s.planned(factor), 1))


if __name__ == "__main__":
    main()
