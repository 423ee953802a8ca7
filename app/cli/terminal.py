"""What the commands share: their options, and how they write to a terminal, a pipe or a program."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

PIPE_WIDTH = 200  # columns where nobody looks at a screen, so that ids stay whole

REVEAL = click.option("--reveal", is_flag=True, help="show phone numbers, texts and message ids")
JSON = click.option("--json", "as_json", is_flag=True, help="one JSON object a line")


def console() -> Console:
    """For tables and stories."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(value: Any) -> None:
    """One object, one line; times as ISO text."""
    click.echo(json.dumps(value, default=str, ensure_ascii=True))


@contextmanager
def progress(what: str, total: int, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on standard error while the block works, at a terminal only; call it with how many more are done."""
    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=screen, transient=True, disable=not (shown and screen.is_terminal)
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda more: bar.advance(task, more)
