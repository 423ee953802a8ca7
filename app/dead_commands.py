"""``neverdrop dead list|show|retry|discard``."""

import getpass
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import dead_letters, timeline
from app.connections import engine, redis
from app.dead_letters import DeadLetter, Decided, Filter
from app.handlers import registry
from app.masked import masked_conversation, masked_payload, masked_text
from app.terminal import JSON, REVEAL, console, print_json
from config.logging import hiding
from config.settings import settings

SHOWN_AT_ONCE = 50
IDS_A_CALL = 500
ERROR_WIDTH = 60

FILTERS = (
    click.option("--type", "type_", help="of this type only"),
    click.option("--kind", type=click.Choice(["message", "status", "other"]), help="of this kind only"),
    click.option("--handler", help="of this handler only"),
    click.option("--error", help="whose error contains this text"),
    click.option("--conversation", help="of this conversation only"),
)


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that choose dead letters, the same for every command."""
    for option in reversed(FILTERS):
        command = option(command)
    return command


@click.group()
def dead() -> None:
    """What failed for good: look at it, retry it, or decide that it need not be handled."""


@dead.command("list")
@filtered
@click.option("--limit", default=SHOWN_AT_ONCE, show_default=True, help="at most so many, oldest first")
@JSON
@REVEAL
def list_(limit: int, as_json: bool, reveal: bool, type_: str | None, **chosen: Any) -> None:
    """List dead letters, oldest first."""
    with engine().connect() as connection:
        letters = dead_letters.find(connection, Filter(type=type_, **chosen), limit)
    letters = [letter if reveal else _masked(letter) for letter in letters]
    if as_json:
        for letter in letters:
            print_json({name: value for name, value in asdict(letter).items() if name != "payload"})
        return
    if not letters:
        click.echo("no dead letters")
        return
    table = Table("id", "died (UTC)", "type", "conversation", "handler", "attempts", "error", box=None)
    for letter in letters:
        cells = (
            str(letter.id),
            f"{letter.died_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            letter.type,
            letter.conversation or "none",
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
@click.argument("event_id", type=int)
@JSON
@REVEAL
def show(event_id: int, as_json: bool, reveal: bool) -> None:
    """Show one dead letter: its payload and every attempt with its traceback."""
    with engine().connect() as connection:
        letters = dead_letters.find(connection, Filter(ids=[event_id]))
        stories = timeline.trace(connection, str(event_id))
    if not letters:
        states = {story.event_id: story.state for story in stories}
        state = states.get(event_id)
        raise click.ClickException(
            f"event {event_id} is {state}, not dead" if state else f"no event {event_id}"
        )
    letter = letters[0] if reveal else _masked(letters[0])
    payload = dead_letters.content(letters[0])
    attempts = [moment.detail for moment in stories[0].moments if moment.what == "attempt"]
    if not reveal:
        payload = masked_payload(payload)
        with hiding(letters[0].payload):
            for attempt in attempts:
                attempt["traceback"] = masked_text(attempt["traceback"])
                attempt["error"] = masked_text(attempt["error"])
    shown = {**asdict(letter), "payload": payload, "tries": attempts}
    if as_json:
        print_json(shown)
        return
    _print_letter(console(), shown)


def _print_letter(console: Console, shown: dict[str, Any]) -> None:
    for name, value in shown.items():
        if name not in ("payload", "tries"):
            console.print(f"{name:<13} {'none' if value is None else value}", markup=False, highlight=False)
    console.print_json(data=shown["payload"], ensure_ascii=True)
    for attempt in shown["tries"]:
        console.rule(f"attempt {attempt['number']} by {attempt['worker']}", align="left")
        ended = attempt["traceback"] or attempt["error"] or "running, or its worker died"
        console.print(ended, markup=False, highlight=False)


@dead.command()
@click.argument("event_ids", type=int, nargs=-1)
@filtered
@click.option("--all", "everything", is_flag=True, help="every dead letter that matches the options")
@click.option("--who", default=getpass.getuser, help="recorded with the retry; by default you")
def retry(event_ids: tuple[int, ...], everything: bool, who: str, type_: str | None, **chosen: Any) -> None:
    """Run dead letters again: they keep their place in their conversations."""
    registry.load(settings().handlers, settings().handler_time_limit_seconds)
    ids = _chosen(event_ids, everything, Filter(type=type_, **chosen))
    _report(
        [dead_letters.retry(engine(), redis(), registry.registry, chunk, who) for chunk in _chunks(ids)],
        "retried",
    )


@dead.command()
@click.argument("event_ids", type=int, nargs=-1)
@filtered
@click.option("--all", "everything", is_flag=True, help="every dead letter that matches the options")
@click.option("--reason", required=True, help="why it need not be handled; recorded")
@click.option("--who", default=getpass.getuser, help="recorded with the decision; by default you")
def discard(
    event_ids: tuple[int, ...], everything: bool, reason: str, who: str, type_: str | None, **chosen: Any
) -> None:
    """Decide that dead letters need not be handled. Their rows stay."""
    ids = _chosen(event_ids, everything, Filter(type=type_, **chosen))
    _report(
        [dead_letters.discard(engine(), redis(), chunk, who, reason) for chunk in _chunks(ids)], "discarded"
    )


def _chosen(event_ids: tuple[int, ...], everything: bool, wanted: Filter) -> list[int]:
    """The ids given, or with --all those that match; never all by accident."""
    if event_ids and (everything or wanted != Filter()):
        raise click.UsageError("give event ids, or --all with options, not both")
    if event_ids:
        return list(event_ids)
    if not everything:
        raise click.UsageError("give event ids, or --all")
    with engine().connect() as connection:
        return [letter.id for letter in dead_letters.find(connection, wanted)]


def _chunks(ids: list[int]) -> list[list[int]]:
    return [ids[start : start + IDS_A_CALL] for start in range(0, len(ids), IDS_A_CALL)]


def _report(decisions: list[Decided], verb: str) -> None:
    changed = sum(len(decided.changed) for decided in decisions)
    click.echo(f"{changed} {verb} at {datetime.now(UTC):%H:%M:%S} UTC")
    refused = {id_: why for decided in decisions for id_, why in decided.refused.items()}
    for event_id, why in sorted(refused.items()):
        click.echo(f"event {event_id} was left alone: {why}", err=True)
    if refused:
        raise SystemExit(1)
