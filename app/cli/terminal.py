"""What the commands share: their options, and how they write to a terminal, a pipe or a program."""

import errno
import json
import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from app.cli.times import iso
from config.control_characters import printable

PIPE_WIDTH = 200  # columns where nobody looks at a screen, so that ids stay whole

MAX_LISTED = 1_000_000  # rows: a list is held in memory

REVEAL = click.option("--reveal", is_flag=True, help="show phone numbers, texts and message ids")
JSON = click.option("--json", "as_json", is_flag=True, help="one JSON object a line")


YES = click.option("--yes", is_flag=True, help="do not ask at a terminal")


def limited(default: int, order: str) -> Callable[..., Any]:
    """Return the option ``--limit``; ``order`` says which rows come first."""
    return click.option(
        "--limit",
        default=default,
        show_default=True,
        type=click.IntRange(1, MAX_LISTED),
        help=f"at most so many, {order}",
    )


class SafeConsole(Console):
    """Prints no control character of a text, whoever wrote it; styles are rich's own."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def private_file(path: Path) -> IO[str]:
    """Open a file to write, which only its owner can read, also one that was there before.

    ClickException for a link or another user's file: somebody may have put it there, to read or to redirect this.
    """
    flags = os.O_WRONLY | os.O_CREAT | (0 if path.is_relative_to("/dev") else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        why = "is a link: name the file itself" if error.errno == errno.ELOOP else error.strerror
        raise click.ClickException(f"{path} {why}") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode):
        if found.st_uid != os.geteuid():
            os.close(descriptor)
            raise click.ClickException(f"{path} belongs to another user: choose another file")
        os.fchmod(descriptor, 0o600)
        os.ftruncate(descriptor, 0)
    return open(descriptor, "w", encoding="utf-8")


def console() -> Console:
    """For tables and stories."""
    return SafeConsole(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def print_json(value: Any) -> None:
    """One object, one line; times as ISO text."""
    click.echo(to_json(value))


def to_json(value: Any) -> str:
    """Return one line of JSON; times as ISO text, in UTC."""
    return json.dumps(value, default=_as_text, ensure_ascii=True)


def _as_text(value: Any) -> str:
    return iso(value, "microseconds") if isinstance(value, datetime) else str(value)


def confirm(question: str, *, yes: bool) -> None:
    """Ask at a terminal before many things are changed at once; a program is not asked. Abort for a no."""
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        click.confirm(question, abort=True, err=True)


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
