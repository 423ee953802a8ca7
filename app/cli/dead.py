"""``neverdrop dead``: the group, and its commands that look: list, show, export."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.dead_decisions import discard, edit, retry
from app.cli.decide import ID
from app.cli.filter_options import filtered
from app.cli.terminal import JSON, REVEAL, console, limited, print_json, private_file, progress, to_json
from app.cli.times import iso
from app.stores import engine
from app.views import DeadLetter, Filter, masked_conversation, masked_payload, masked_text, timeline
from app.views import dead_letters as dead_letter_list
from config.logging import hiding

SHOWN_AT_ONCE = 50
LETTERS_A_PAGE = 500
ERROR_WIDTH = 60


@click.group()
def dead() -> None:
    """What failed for good: look at it, retry it, or decide that it need not be handled."""


@dead.command("list")
@filtered("died")
@limited(SHOWN_AT_ONCE, "oldest first")
@JSON
@REVEAL
def list_(filter_: Filter, limit: int, as_json: bool, reveal: bool) -> None:
    """List dead letters, oldest first."""
    with engine().connect() as connection:
        letters = dead_letter_list.find(connection, filter_, limit)
    letters = [letter if reveal else _masked(letter) for letter in letters]
    if as_json:
        for letter in letters:
            print_json({name: value for name, value in asdict(letter).items() if name != "payload"})
        return
    if not letters:
        click.echo("no dead letters")
        return
    table = Table("id", "died", "type", "conversation", "lane", "handler", "attempts", "error", box=None)
    for letter in letters:
        cells = (
            str(letter.id),
            iso(letter.died_at),
            letter.type,
            letter.conversation or "none",
            letter.lane_name,
            letter.handler or "none",
            str(letter.attempts),
            (letter.error or "none").splitlines()[0][:ERROR_WIDTH],
        )
        table.add_row(*map(Text, cells))  # a str would be read as rich's markup
    console().print(table)
    if len(letters) == limit:
        click.echo(f"the first {limit}; --limit shows more", err=True)


def _masked(letter: DeadLetter) -> DeadLetter:
    with hiding(letter.payload):
        return replace(
            letter,
            key=masked_text(letter.key) or "",
            conversation=masked_conversation(letter.conversation),
            error=masked_text(letter.error),
        )


@dead.command()
@click.argument("job_id", metavar="ID", type=ID)
@JSON
@REVEAL
def show(job_id: int, as_json: bool, reveal: bool) -> None:
    """Show one dead letter: its payload and every attempt with its traceback."""
    with engine().connect() as connection:
        letters = dead_letter_list.find(connection, Filter(ids=[job_id]))
        timelines = timeline.find_timelines(connection, str(job_id))
    if not letters:
        states = {found.id: found.state for found in timelines}
        state = states.get(job_id)
        raise click.ClickException(f"job {job_id} is {state}, not dead" if state else f"no job {job_id}")
    letter = letters[0] if reveal else _masked(letters[0])
    payload = dead_letter_list.content(letters[0])
    (history,) = (found for found in timelines if found.id == job_id)
    attempts = [moment.detail for moment in history.moments if moment.what == "attempt"]
    if not reveal:
        payload = masked_payload(payload)
        with hiding(letters[0].payload):
            for attempt in attempts:
                for name in ("traceback", "error", "answer"):
                    attempt[name] = masked_text(attempt[name])
    shown = {**asdict(letter), "payload": payload, "tries": attempts}
    if as_json:
        print_json(shown)
        return
    _print_letter(console(), shown)


def _print_letter(console: Console, shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        if name not in ("payload", "tries"):
            console.print(f"{name:<13} {_shown(value)}", markup=False, highlight=False)
    console.print_json(data=shown["payload"], ensure_ascii=True)
    for attempt in shown["tries"]:
        console.rule(f"attempt {attempt['number']} by {attempt['worker']}", align="left")
        ended = attempt["traceback"] or attempt["error"] or "running, or its worker died"
        console.print(ended, markup=False, highlight=False)
        if attempt["answer"]:
            console.print(f"it answered: {attempt['answer']}", markup=False, highlight=False)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return iso(value)
    return "none" if value is None else str(value)


@dead.command()
@filtered("died")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="a file instead of the screen"
)
@REVEAL
def export(filter_: Filter, output: Path | None, reveal: bool) -> None:
    """Write dead letters with their payloads, one JSON object a line, oldest first.

    What belongs to people is masked unless --reveal is given.
    """
    with engine().connect() as connection:
        total = dead_letter_list.LISTING.count(connection, filter_)
    with (
        private_file(output) if output else nullcontext(sys.stdout) as lines,
        progress("exported", total, shown=output is not None) as advance,
    ):
        for letter in _all(filter_):
            payload = dead_letter_list.content(letter)
            shown = letter if reveal else _masked(letter)
            told = {**asdict(shown), "payload": payload if reveal else masked_payload(payload)}
            click.echo(to_json(told), file=lines)
            advance(1)


def _all(filter_: Filter) -> Iterator[DeadLetter]:
    """Page after page, so that any number fits into memory."""
    last_id = 0
    while True:
        with engine().connect() as connection:
            letters = dead_letter_list.find(connection, filter_, LETTERS_A_PAGE, last_id)
        if not letters:
            return
        yield from letters
        last_id = letters[-1].id


dead.add_command(retry)
dead.add_command(discard)
dead.add_command(edit)
