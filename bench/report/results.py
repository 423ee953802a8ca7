"""What was measured, as JSON, as tables at a terminal and in Markdown, and as plots.

``python -m bench.report RESULT.json`` prints it; with ``--write docs/figures.md`` it takes the place of what stands
there between the marks, and the plots go beside it into ``images/``.
"""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from bench.measure import Measured

BEGIN, END = "<!-- figures: begin (python -m bench.report) -->", "<!-- figures: end -->"
MARKS = {True: "met", False: "not met", None: ""}
WHOLE = {"cost": 60, "memory": 20, "tables": 20}  # rows that are shown with more of their figures

Result = dict[str, Any]


def save(path: Path, machine: dict[str, str], options: dict[str, Any], rows: Iterable[Measured]) -> None:
    """One file for a run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"machine": machine, "options": options, "rows": [_row(row) for row in rows]}
    path.write_text(json.dumps(_finite(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _row(row: Measured) -> Result:
    medians = {
        case: {figure: row.median(case, figure) for figure in found} for case, found in row.values.items()
    }
    return {
        "name": row.row,
        "title": row.title,
        "ratios": row.ratios,
        "medians": medians,
        "rounds": row.values,
        "failed": row.failed,
    }


def _finite(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None or math.isnan(value):
        return "–"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratios_of(row: Result) -> list[list[str]]:
    """A line for each ratio: what, over what, value, its range over the rounds, goal, whether it is met."""
    return [
        [
            f"{ratio['figure']}: {ratio['case']} / {ratio['base']}",
            number(ratio["value"]),
            " to ".join(number(bound) for bound in (min(ratio["rounds"]), max(ratio["rounds"])))
            if len(ratio["rounds"]) > 1
            else "",
            ratio["goal"],
            MARKS[ratio["met"]],
        ]
        for ratio in row["ratios"]
    ]


def figures_of(row: Result) -> tuple[list[str], list[list[str]]]:
    """Header and lines: the medians of each case; where there are many figures, one line for each of them."""
    names = list(dict.fromkeys(figure for found in row["medians"].values() for figure in found))
    names = names[: WHOLE.get(row["name"], len(names))]
    cases = row["medians"]
    if row["name"] in WHOLE:
        return ["", *cases], [[name, *(number(cases[case].get(name)) for case in cases)] for name in names]
    return ["", *names], [
        [case, *(number(found.get(name)) for name in names)] for case, found in cases.items()
    ]


RATIO_HEADER = ["ratio", "median", "rounds", "goal", ""]


def show(result: Result, console: Console) -> None:
    """Ratios first, then the figures, then the machine."""
    for row in result["rows"]:
        console.rule(f"[bold]{row['name']}[/]: {row['title']}", align="left")
        if row["ratios"]:
            console.print(table(RATIO_HEADER, ratios_of(row)))
        console.print(table(*figures_of(row)))
        for case, why in row["failed"].items():
            console.print(f"[red]{case} failed:[/] {why}", highlight=False)
    console.rule("machine", align="left")
    console.print(", ".join(f"{name} {value}" for name, value in result["machine"].items()), highlight=False)


def table(header: list[str], lines: list[list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place == 0 else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    return table


def markdown(result: Result, images: Iterable[Path]) -> str:
    """The same for the docs."""
    parts = [
        "Measured on: " + ", ".join(f"{name} {value}" for name, value in result["machine"].items()) + "."
    ]
    options = ", ".join(f"{name} {value}" for name, value in result["options"].items())
    parts.append(f"By `python -m bench` with {options}.")
    for row in result["rows"]:
        parts.append(f"### {row['name']}: {row['title']}")
        if row["ratios"]:
            parts.append(markdown_table(RATIO_HEADER, ratios_of(row)))
        parts.append(markdown_table(*figures_of(row)))
        parts += [f"{case} failed: {why}" for case, why in row["failed"].items()]
    parts += [f"![{image.stem}](images/{image.name})" for image in images]
    return "\n\n".join(parts)


def markdown_table(header: list[str], lines: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in [header, rule, *lines])


def put(document: Path, begin: str, end: str, content: str) -> None:
    """Replace what stands between two marks of a document; ClickException if they are missing."""
    text = document.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise click.ClickException(f"{document} lacks the marks {begin} and {end}")
    inside = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    document.write_text(inside.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text), encoding="utf-8")
