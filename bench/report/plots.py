"""Plots of a result: one for each row that has rates, as bars by case, and the goals."""

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

OWN_COLOUR, OTHER_COLOUR = "#128c7e", "#9aa5a3"
WIDTH_INCHES = 8
INCHES_A_BAR = 0.32
RATES = ("req/s", "drained/s", "through/s", "done/s", "held/s")
LATENCIES = ("p50 ms", "p99 ms")


def draw(result: dict[str, Any], directory: Path) -> list[Path]:
    """Bars of every row's first figure (and, for latencies, of both percentiles); the files."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    for row in result["rows"]:
        for figure in _figures(row):
            name = f"{row['name']}-{re.sub('[^a-z0-9]+', '-', figure.lower())}.svg"
            _bars(row, figure, directory / name)
            drawn.append(directory / name)
    return drawn


def _figures(row: dict[str, Any]) -> list[str]:
    found = {
        figure for case in row["medians"].values() for figure, value in case.items() if value is not None
    }
    rates = [figure for figure in RATES if figure in found]
    if row["name"] in ("start", "ack-latency"):
        return [figure for figure in LATENCIES if figure in found]
    return rates[:2]


def _bars(row: dict[str, Any], figure: str, path: Path) -> None:
    """Medians as bars, the rounds as dots."""
    cases = [case for case, found in row["medians"].items() if found.get(figure) is not None]
    values = [row["medians"][case][figure] for case in cases]
    colours = [
        OWN_COLOUR if case.startswith("Neverdrop") or "waiting" in case else OTHER_COLOUR for case in cases
    ]
    drawing, axes = plt.subplots(figsize=(WIDTH_INCHES, 1 + INCHES_A_BAR * len(cases)))
    bars = axes.barh(cases, values, color=colours, height=0.7)
    axes.bar_label(
        bars, [f" {value:,.3g}" if value < 100 else f" {value:,.0f}" for value in values], fontsize=8
    )
    for place, case in enumerate(cases):
        rounds = [value for value in row["rounds"][case][figure] if value is not None]
        axes.plot(rounds, [place] * len(rounds), "|", color="black", markersize=6, alpha=0.5)
    axes.invert_yaxis()
    axes.set_title(f"{row['title']} ({figure})", fontsize=9, loc="left")
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.12)
    drawing.tight_layout()
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)
