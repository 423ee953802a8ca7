"""The tables of docs/fault-test.md from the reports of some runs: ``python -m tests.chaos.figures REPORT...``.

A report is what ``python -m tests.chaos --json REPORT`` wrote.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tests.chaos.recovery import by_kind

CHECKS = ("1a", "1b", "2a", "2b", "2c", "3a", "3b", "4", "5", "6", "8", "9", "10")


@click.command()
@click.argument(
    "reports", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def main(reports: tuple[Path, ...]) -> None:
    """Print one line for each run, and one for each kind of fault over all of them."""
    runs = [json.loads(report.read_text(encoding="utf-8")) for report in reports]
    click.echo("\n".join([*runs_table(runs), "", *recovery_table(runs)]))


def runs_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table: what was run, what was looked at, and how much of it was broken."""
    lines = [
        "| run | events, faults | pairs of an order | violations: "
        + ", ".join(CHECKS)
        + " | again, less outages |"
    ]
    lines.append("|---|---|---|---|---|")
    return [*lines, *(_run(run) for run in runs)]


def _run(run: dict[str, Any]) -> str:
    verdicts = {verdict["promise"].split()[0]: verdict for verdict in run["promises"]}
    violations = ", ".join(str(verdicts[check]["violations"]) for check in CHECKS)
    again = [kind["again_worst_less_outages"] for kind in run["interrupted"].values()]
    worst = max((seconds for seconds in again if seconds is not None), default=None)
    return (
        f"| `--seed {run['seed']} --seconds {run['seconds']:g} --rate {run['rate']:g}`"
        f" | {run['events']:,}, {len(run['schedule'])} | {verdicts['4']['checked']:,}"
        f" | {violations} | {'-' if worst is None else f'{worst:.1f} s'} |"
    )


def recovery_table(runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table: each kind of fault, how often it was, and how long work stood still after it."""
    pairs = [(kind, seconds) for run in runs for kind, seconds in run["returns"]]
    lines = ["| fault | times | median | worst |", "|---|---|---|---|"]
    return [
        *lines,
        *(
            f"| `{kind}` | {each.times} | {_seconds(each.median)} | {_seconds(each.worst)} |"
            for kind, each in by_kind(pairs).items()
        ),
    ]


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


if __name__ == "__main__":
    main()
