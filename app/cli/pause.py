"""``neverdrop pause``, ``resume`` and ``paused``: a person takes a conversation over, and gives it back."""

from dataclasses import asdict
from datetime import datetime

import click
from rich.table import Table

from app.cli.parameters import user
from app.cli.terminal import JSON, REVEAL, console, print_json
from app.cli.times import iso
from app.handlers import MAIN_LANE
from app.lanes import Pause, pauses
from app.stores import engine, redis
from app.views import masked_conversation, masked_text
from config.durations import parse_duration

CONVERSATION = click.argument("conversation")
LANE = click.option("--lane", "lane_name", default=MAIN_LANE, show_default=True, help="name of the lane")
WHO = click.option("--who", default=user, help="recorded with the pause; by default you")


def _seconds(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@CONVERSATION
@LANE
@WHO
@click.option("--for", "seconds", callback=_seconds, help="resume it by itself after so long: 30m, 8h, 2d")
@click.option("--why", default="", help="shown to whoever looks")
@click.option("--skip", "skips", is_flag=True, help="when it ends, skip the messages that came meanwhile")
def pause(conversation: str, lane_name: str, who: str, seconds: float | None, why: str, skips: bool) -> None:
    """Let a conversation's events wait in one of its lanes until that is resumed; in its others they go on.

    CONVERSATION is its number, one of its names, or a phone number or user id alone.
    """
    number, lane = _lane(conversation, lane_name)
    if not pauses.pause(engine(), lane, who, seconds, why, skips=skips):
        longer = "" if seconds is None else " for as long"
        raise click.ClickException(f"conversation {number} is paused{longer} already{_in(lane_name)}")
    with engine().connect() as connection:
        state = pauses.state(connection, lane)
    until = state.paused_until if state else None
    meanwhile = "is stored and skipped when that ends" if skips else "is stored and waits"
    click.echo(f"conversation {number} is paused{_in(lane_name)}{_until(until)}: what arrives {meanwhile}")


@click.command()
@CONVERSATION
@LANE
@WHO
def resume(conversation: str, lane_name: str, who: str) -> None:
    """Let a paused conversation go on, in order."""
    number, lane = _lane(conversation, lane_name)
    if not pauses.resume(engine(), redis(), lane, who):
        raise click.ClickException(f"conversation {number} is not paused{_in(lane_name)}")
    click.echo(f"conversation {number} goes on{_in(lane_name)}")


@click.command()
@JSON
@REVEAL
def paused(as_json: bool, reveal: bool) -> None:
    """Show which conversations are paused: since when and until when, by whom and why."""
    with engine().connect() as connection:
        found = pauses.paused(connection)
    if as_json:
        for each in found:
            print_json(asdict(each) | {"key": _name(each, reveal), "paused_why": _why(each, reveal)})
        return
    if not found:
        click.echo("no conversation is paused")
        return
    table = Table("conversation", "lane", "name", "since", "until", "by", "why", "meanwhile", box=None)
    for each in found:
        table.add_row(
            str(each.conversation),
            each.lane_name,
            _name(each, reveal),
            _moment(each.paused_at),
            _moment(each.paused_until) or "resumed",
            each.paused_by,
            _why(each, reveal),
            "skip" if each.skips else "keep",
        )
    console().print(table)


def _lane(conversation: str, lane_name: str) -> tuple[int, int]:
    """Return the conversation's number, and that of its lane."""
    with engine().connect() as connection:
        number = pauses.find(connection, conversation)
    return number, pauses.lane_named(engine(), number, lane_name)


def _name(each: Pause, reveal: bool) -> str | None:
    return each.key if reveal else masked_conversation(each.key)


def _why(each: Pause, reveal: bool) -> str | None:
    return each.paused_why if reveal else masked_text(each.paused_why)


def _in(lane_name: str) -> str:
    return "" if lane_name == MAIN_LANE else f" in lane {lane_name}"


def _until(moment: datetime | None) -> str:
    return f" until {_moment(moment)}" if moment else ""


def _moment(moment: datetime | None) -> str:
    return iso(moment) if moment else ""
