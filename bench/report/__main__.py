"""Shows results again, or writes them into a page of the docs: ``python -m bench.report``."""

import json
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from bench.report.results import BEGIN, END, Result, markdown, put, show


@click.command()
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--write", "document", type=click.Path(exists=True, path_type=Path), help="Markdown to fill in."
)
@click.option("--only", help="Comma-separated rows.")
def main(results: Sequence[Path], document: Path | None, only: str | None) -> None:
    """Show results, or write them into a document."""
    found: list[Result] = [json.loads(each.read_text(encoding="utf-8")) for each in results]
    for each in found:
        each["rows"] = [row for row in each["rows"] if not only or row["name"] in only.split(",")]
    if document is None:
        for each in found:
            show(each, Console())
        return
    from bench.report import plots  # which needs matplotlib, for `make bench` alone

    images = document.parent / "images"
    put(
        document,
        BEGIN,
        END,
        "\n\n".join(markdown(each, plots.draw(each, images)) for each in found if each["rows"]),
    )


if __name__ == "__main__":
    main()
