"""What a rate of webhooks takes, reckoned from what an event costs; where the one thread of a Valkey ends.

``python -m bench.report.limits RESULT.json`` reckons from the row ``cost``; with ``--write docs/scaling.md`` it
replaces what stands there between its marks. A core is one of the machine that measured. What it cannot see:
handlers, whose own work comes on top, and what a part costs less where more of its work comes at once.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import click
from rich.console import Console

from bench.report.results import Result, markdown_table, number, put, table

CASE = "Neverdrop, mix"
RATES = (100, 1_000, 4_000, 10_000)  # webhooks a second, of one event each
# What runs an event → the processes whose CPU it is
PARTS = {
    "web": ("web",),
    "ingest": ("ingest1", "ingest1 pool"),
    "worker": ("worker1", "worker1 pool"),
    "Postgres": ("postgres",),
    "Valkey": ("valkey",),
}
US_PER_SECOND = 1_000_000
DAY_SECONDS = 24 * 3600
MIB, GIB = 2**20, 2**30
ONE_CORE = "one core ends at, webhooks/s"
BEGIN, END = "<!-- limits: begin (python -m bench.report.limits) -->", "<!-- limits: end -->"

Costs = Mapping[str, float]


def limits(costs: Costs) -> tuple[list[str], list[list[str]]]:
    """Header and lines: cores of each part and what is written, at each rate. Pure: no I/O."""
    header = ["", "an event", *(f"{rate:,}/s" for rate in RATES), ONE_CORE]
    lines = []
    for part, processes in PARTS.items():
        us = sum(costs[f"{name} CPU µs"] for name in processes)
        cores = [number(rate * us / US_PER_SECOND) for rate in RATES]
        lines.append([f"{part}, cores", f"{number(us)} µs", *cores, number(US_PER_SECOND / us)])
    for name, unit, seconds, size in (
        ("Postgres bytes", "tables, GiB a day", DAY_SECONDS, GIB),
        ("Postgres WAL bytes", "write-ahead log, MiB/s", 1, MIB),
        ("Redis bytes while it waits", "Valkey, MiB for each minute that ingest stands still", 60, MIB),
    ):
        cost = costs[name]
        amounts = [number(rate * cost * seconds / size) for rate in RATES]
        lines.append([unit, f"{number(cost)} bytes", *amounts, ""])
    return header, lines


def costs_of(result: Result) -> Costs:
    """ClickException where the row was not measured."""
    for row in result["rows"]:
        if row["name"] == "cost" and CASE in row["medians"]:
            found: Costs = row["medians"][CASE]
            return found
    raise click.ClickException(f"no row cost with {CASE} in it: python -m bench --only cost measures it")


@click.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--write", "document", type=click.Path(exists=True, path_type=Path), help="Markdown to fill in."
)
def main(result: Path, document: Path | None) -> None:
    """Show what a rate takes, or write it into a document."""
    header, lines = limits(costs_of(json.loads(result.read_text(encoding="utf-8"))))
    if document is None:
        Console().print(table(header, lines))
    else:
        put(document, BEGIN, END, markdown_table(header, lines))


if __name__ == "__main__":
    main()
