"""``make bench``: Neverdrop and its peers side by side."""

import json
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from bench.measure import Measured, measure
from bench.options import Options
from bench.report import results as report
from bench.rows import all_rows
from bench.subjects import machine

OUT = Path(".neverdrop") / "bench"
RESULT = "result.json"
WIDTH = 150  # of what is written into a file or a pipe


def _sizes(options: Options) -> dict[str, Any]:
    """What a reader of the figures has to know."""
    kept = ("rounds", "seconds", "drain", "deep", "hot", "events", "hold_seconds", "load_processes", "wrk")
    found = asdict(options)
    return {name: found[name] for name in kept}


@click.command()
@click.option("--only", help="Comma-separated rows; --list names them.")
@click.option("--cases", help="Comma-separated subjects, of the rows that compare them.")
@click.option("--list", "listing", is_flag=True, help="Name the rows and end.")
@click.option("--rounds", type=int, help="Of each case.")
@click.option("--seconds", type=float, help="Of each measurement at full speed.")
@click.option("--events", type=int, help="In the tables of the row tables.")
@click.option("--drain", type=int, help="Events of the pipeline's rows.")
@click.option("--hold-seconds", type=float, help="For which a rate must be held.")
@click.option("--load-processes", type=int, help="Senders; one is enough for two cores.")
@click.option("--quick", is_flag=True, help="Everything once and small: shows that it works.")
@click.option("--wrk", is_flag=True, help="Load from wrk in the rows ack and ack-cores.")
@click.option(
    "--out", type=click.Path(path_type=Path), default=OUT, show_default=True, help="For the result."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="A directory for the stores; else a temporary one."
)
@click.option("--logs", type=click.Path(path_type=Path), help="Keep what the processes write, here.")
def main(
    only: str | None,
    cases: str | None,
    listing: bool,
    quick: bool,
    out: Path,
    data: Path | None,
    **sizes: Any,
) -> None:
    """Measure, print a table, and write JSON and plots."""
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    directory = data or Path(tempfile.mkdtemp(prefix="nb-"))
    given = {name: value for name, value in sizes.items() if value is not None}
    options = Options.quick(directory, **given) if quick else Options(directory, **given)
    rows = all_rows(options)
    if listing:
        for row in rows:
            console.print(f"{row.name:<20} {row.title}", highlight=False)
        return
    chosen = only.split(",") if only else [row.name for row in rows]
    unknown = set(chosen) - {row.name for row in rows}
    if unknown:
        raise click.BadParameter(f"no such row: {', '.join(sorted(unknown))}", param_hint="--only")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended, and removed
    try:
        known = machine.describe(directory)
        measured: list[Measured] = []
        for row in rows:
            if row.name in chosen:
                row = row.with_cases(cases.split(",")) if cases else row
                measured.append(
                    measure(row, options.rounds, lambda line: console.print(line, highlight=False))
                )
                report.save(out / RESULT, known, _sizes(options), measured)  # what was measured is kept
    finally:
        if data is None:
            shutil.rmtree(directory, ignore_errors=True)
    _print_summary(out, console)


def _print_summary(out: Path, console: Console) -> None:

    from bench.report import plots

    result = json.loads((out / RESULT).read_text(encoding="utf-8"))
    report.show(result, console)
    plots.draw(result, out)
    console.print(f"[bold]{out / RESULT}[/] and the plots beside it")


if __name__ == "__main__":
    main()
