"""What the commands share: their options, and how they write to a terminal, a pipe or a program."""

import json
import sys
from typing import Any

import click
from rich.console import Console

PIPE_WIDTH = 200  # columns where nobody looks at a screen, so that ids stay whole

REVEAL = click.option("--reveal", is_flag=True, help="show phone numbers, texts and message ids")
JSON = click.option("--json", "as_json", is_flag=True, help="one JSON object a line")


def console() -> Console:
    """For tables and stories."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(value: Any) -> None:
    """One object, one line; times as ISO text."""
    click.echo(json.dumps(value, default=str, ensure_ascii=True))
