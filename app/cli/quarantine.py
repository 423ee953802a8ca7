"""``neverdrop quarantine``: messages that could not be run; list them, and drop them."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from app import broker
from app.broker import Quarantined
from app.cli.terminal import JSON, REVEAL, YES, confirm, console, print_json
from app.cli.times import iso
from app.stores import redis
from app.views import masked_text


@click.group()
def quarantine() -> None:
    """Messages that no worker could run. What they were for is enqueued anew: nothing is lost if they are dropped."""


@quarantine.command("list")
@JSON
@REVEAL
def list_(as_json: bool, reveal: bool) -> None:
    """List the messages that are kept, the newest first; with --json --reveal also what they contain."""
    messages = broker.quarantined(redis())
    if as_json:
        for message in messages:
            print_json(_as_dict(message, reveal))
        return
    if not messages:
        click.echo("no message is in quarantine")
        return
    table = Table("id", "at", "queue", "bytes", "error", box=None)
    for message in messages:
        at = iso(datetime.fromtimestamp(message.at, UTC))
        error = message.error if reveal else masked_text(message.error) or ""
        cells = (message.id, at, message.queue, str(message.size), error)
        table.add_row(*map(Text, cells))  # a str would be read as rich's markup
    console().print(table)


@quarantine.command()
@click.argument("ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="all that are there now")
@YES
@JSON
def drop(ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool) -> None:
    """Drop messages for good, which ends the alert; by id, or --all."""
    if bool(ids) == everything:
        raise click.UsageError("give ids, or --all")
    chosen = [message.id for message in broker.quarantined(redis())] if everything else ids
    if everything:
        confirm(f"{len(chosen)} messages will be dropped. Go on?", yes=yes)
    dropped = broker.drop_quarantined(redis(), chosen)
    if as_json:
        print_json({"dropped": dropped})
    else:
        click.echo(f"{dropped} dropped")


def _as_dict(message: Quarantined, reveal: bool) -> dict[str, Any]:
    fields = asdict(message) | {"message": message.message.decode("utf-8", "replace")}
    if reveal:
        return fields
    del fields["message"]
    return fields | {"error": masked_text(message.error)}
