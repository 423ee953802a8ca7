"""``neverdrop explain``: what Neverdrop makes of a webhook body, without any server."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import click

from app.cli.times import iso
from app.graph import codes
from app.payload import ParsedBody, ParsedEvent, parse

STDIN = "-"
MAX_BODY = 64 * 1024 * 1024  # bytes that are read
PIPE_WIDTH = 200  # columns of a table that no terminal limits


def explain(paths: Sequence[str], as_json: bool, out: TextIO) -> list[str]:
    """Write what each file's body comes to; returns a sentence for each file that could not be read.

    As JSON: one object a line for each event, with ``file`` where there are several files.
    """
    faults = []
    for path in paths:
        try:
            body = _read(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            faults.append(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")
            continue
        if len(body) > MAX_BODY:
            faults.append(f"{path} is longer than {MAX_BODY} bytes: Meta sends 3 MB at most")
            continue
        parsed = parse(body)
        if as_json:
            _write_json(parsed, path if len(paths) > 1 else None, out)
        else:
            _write_table(parsed, path, out)
    return faults


def _read(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_BODY + 1)
    with Path(path).open("rb") as file:
        return file.read(MAX_BODY + 1)


@click.command("explain")
@click.argument("files", nargs=-1, metavar="FILE...")
@click.option("--error", "code", type=int, help="Say what a code of Meta's means, and what is done about it.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each event.")
def command(files: tuple[str, ...], code: int | None, as_json: bool) -> None:
    """Show what becomes of a webhook body: its events, their keys and conversations; or what an error code means.

    FILE holds one body as it was received; - is standard input. Nothing is sent, stored or masked.
    """
    if code is not None:
        explain_error(code, as_json)
    elif not files:
        raise click.UsageError("give a FILE, or --error with a code of Meta's")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name may be in letters the terminal lacks
    faults = explain(files, as_json, sys.stdout)
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise SystemExit(1)


def explain_error(code: int, as_json: bool) -> None:
    """Print what a code of Meta's means and what the outbox does about it."""
    row = codes.find(code)
    remedy = codes.remedy_for(code)
    meaning = row.meaning if row else "not in Meta's documentation that this version knows"
    advice = row.advice if row else "read the error's own words; tell Meta's support if it stays"
    if as_json:
        click.echo(json.dumps({"code": code, "meaning": meaning, "remedy": remedy, "advice": advice}))
        return
    click.echo(f"{code}: {meaning}\nNeverdrop: {DONE[remedy]}\nYou: {advice}")


DONE = {
    codes.Remedy.AGAIN: "sends it again, with growing pauses, for a day",
    codes.Remedy.THROTTLE: "sends it again, and lets nothing else leave from the number meanwhile",
    codes.Remedy.WAIT_PAIR: "sends it again after 4^attempts seconds; other users do not wait",
    codes.Remedy.STOP: "lets nothing leave from the number until it has a new token, or `neverdrop outbox resume`",
    codes.Remedy.DEAD: "makes it a dead letter of the outbox: `neverdrop outbox list`",
}


def _write_json(parsed: ParsedBody, file: str | None, out: TextIO) -> None:
    for event in parsed.events:
        line: dict[str, Any] = {
            "index": event.index,
            "kind": event.kind,
            "type": event.type,
            "key": event.key,
            "conversation": event.conversation,
            "occurred_at": _time(event.occurred_at),
        }
        if file is not None:
            line["file"] = file
        out.write(json.dumps(line) + "\n")


def _write_table(parsed: ParsedBody, path: str, out: TextIO) -> None:
    # Imported here: --json and the other commands do without, and it takes longer than the work itself.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=out, width=None if out.isatty() else PIPE_WIDTH)
    table = Table(title=Text(_spelled_out(path)), title_justify="left", caption=Text(_summary(parsed)))
    table.caption_justify = "left"
    for heading in ("", "kind", "type", "conversation", "occurred at", "key"):
        table.add_column(heading, overflow="fold", justify="left" if heading else "right")
    for event in parsed.events:
        table.add_row(*(Text(_spelled_out(cell)) for cell in _cells(event)))
    console.print(table)
    console.print()


def _cells(event: ParsedEvent) -> Iterator[str]:
    yield str(event.index)
    yield event.kind
    yield event.type
    yield event.conversation or "–"
    yield _time(event.occurred_at) or "–"
    yield event.key


def _time(seconds: int | None) -> str | None:
    with suppress(TypeError, ValueError, OverflowError, OSError):
        return iso(datetime.fromtimestamp(seconds, UTC))  # type: ignore[arg-type]
    return None


def _summary(parsed: ParsedBody) -> str:
    if parsed.unreadable is not None:
        return f"Unreadable: {parsed.unreadable}"
    kinds = Counter(event.kind for event in parsed.events)
    counted = ", ".join(f"{number} {kind}" for kind, number in kinds.items())
    number = len(parsed.events)
    return f"{number} event{'' if number == 1 else 's'}" + (f": {counted}" if counted else "")


def _spelled_out(value: str) -> str:
    """Replace each character that a terminal would not show by its Python escape: this table is to show all."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in value)
