"""``neverdrop pause`` and ``resume``: a person takes a conversation over, and gives it back."""

import getpass

import click

from app.handlers import MAIN_LANE
from app.lanes import pauses
from app.stores import engine, redis

CONVERSATION = click.argument("conversation")
LANE = click.option("--lane", "lane_name", default=MAIN_LANE, show_default=True, help="name of the lane")
WHO = click.option("--who", default=getpass.getuser, help="recorded with the pause; by default you")


@click.command()
@CONVERSATION
@LANE
@WHO
def pause(conversation: str, lane_name: str, who: str) -> None:
    """Let a conversation's events wait in one of its lanes until that is resumed; in its others they go on.

    CONVERSATION is its number, one of its names, or a phone number or user id alone.
    """
    number, lane = _lane(conversation, lane_name)
    if not pauses.pause(engine(), lane, who):
        raise click.ClickException(f"conversation {number} is paused already{_in(lane_name)}")
    click.echo(f"conversation {number} is paused{_in(lane_name)}: what arrives is stored and waits")


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


def _lane(conversation: str, lane_name: str) -> tuple[int, int]:
    """Return the conversation's number, and that of its lane."""
    with engine().connect() as connection:
        number = pauses.find(connection, conversation)
    return number, pauses.lane_named(engine(), number, lane_name)


def _in(lane_name: str) -> str:
    return "" if lane_name == MAIN_LANE else f" in lane {lane_name}"
