"""``neverdrop pause`` and ``resume``: a person takes a conversation over, and gives it back."""

import getpass

import click

from app.lanes import pauses
from app.stores import engine, redis

CONVERSATION = click.argument("conversation")
WHO = click.option("--who", default=getpass.getuser, help="recorded with the pause; by default you")


@click.command()
@CONVERSATION
@WHO
def pause(conversation: str, who: str) -> None:
    """Let a conversation's events wait until it is resumed.

    CONVERSATION is its number, one of its names, or a phone number or user id alone.
    """
    lane = _lane(conversation)
    if not pauses.pause(engine(), lane, who):
        raise click.ClickException(f"conversation {lane} is paused already")
    click.echo(f"conversation {lane} is paused: what arrives is stored and waits")


@click.command()
@CONVERSATION
@WHO
def resume(conversation: str, who: str) -> None:
    """Let a paused conversation go on, in order."""
    lane = _lane(conversation)
    if not pauses.resume(engine(), redis(), lane, who):
        raise click.ClickException(f"conversation {lane} is not paused")
    click.echo(f"conversation {lane} goes on")


def _lane(conversation: str) -> int:
    with engine().connect() as connection:
        return pauses.find(connection, conversation)
