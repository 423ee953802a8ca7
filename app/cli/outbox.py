"""``neverdrop outbox``: what handlers send; list it, decide about what is dead or unknown, resume a number."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from app import outbox as outbox_package
from app.broker import wake_senders
from app.cli.parameters import user
from app.cli.terminal import JSON, REVEAL, YES, confirm, console, limited, print_json
from app.cli.times import iso
from app.outbox import OutboxStatements
from app.stores import MAX_ID, SendState, chunks, engine, redis
from app.views import NEED_A_DECISION, Send, SendFilter, masked_conversation, masked_id, masked_text, sends
from config.control_characters import printable

SHOWN_AT_ONCE = 50
ERROR_WIDTH = 70
IDS_A_CALL = 500
MAX_CODE = 2**31 - 1  # of an integer column
STATE = click.Choice([state.value for state in SendState])

Command = Callable[..., Any]


@click.group()
def outbox() -> None:
    """What handlers send: look at it, and decide about what was not sent or may have been."""


def filtered(command: Command) -> Command:
    """Add the options that choose sends."""
    options = (
        click.option("--number", help="from this phone_number_id only"),
        click.option("--code", type=click.IntRange(0, MAX_CODE), help="with this code of Meta's only"),
        click.option("--conversation", help="of this conversation only, as `trace` names it"),
        click.option(
            "--unsure/--sure", default=None, help="those that may have been sent, or surely were not"
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@outbox.command("list")
@filtered
@click.option("--state", "states", multiple=True, type=STATE, help="by default dead and unknown")
@limited(SHOWN_AT_ONCE, "oldest first")
@JSON
@REVEAL
def list_(states: tuple[str, ...], limit: int, as_json: bool, reveal: bool, **chosen: Any) -> None:
    """List sends, the oldest first: by default those that a person may decide about."""
    filter_ = SendFilter(states=states or NEED_A_DECISION, **chosen)
    with engine().connect() as connection:
        found = sends.find(connection, filter_, limit)
        stopped = sends.stopped_numbers(connection)
    shown = found if reveal else [_masked(each) for each in found]
    if as_json:
        for each in shown:
            print_json({name: value for name, value in asdict(each).items() if name != "body"})
        return
    for number in stopped:
        why = number["error"] if reveal else masked_text(number["error"])
        click.echo(printable(f"number {number['number']} is stopped since {iso(number['since'])}: {why}"))
    if not shown:
        click.echo("no such replies")
        return
    table = Table(
        "id", "event", "step", "stands at", "attempts", "written", "conversation", "error", box=None
    )
    for each in shown:
        error = (each.error or "none").splitlines()[0][:ERROR_WIDTH]
        cells = (
            str(each.id), str(each.event_id), each.step, each.stands_at, str(each.attempts),
            iso(each.created_at), each.conversation, error,
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    console().print(table)


def _decision(name: str, action: str, verb: str, documentation: str) -> None:
    @outbox.command(name, help=documentation)
    @click.argument("send_ids", type=click.IntRange(1, MAX_ID), nargs=-1)
    @filtered
    @click.option(
        "--all", "everything", is_flag=True, help="every dead or unknown one that matches the options"
    )
    @click.option("--dry-run", is_flag=True, help="say how many it would be, and change nothing")
    @YES
    @click.option("--who", default=user, help="recorded with the decision; by default you")
    @click.option("--reason", help="recorded with the decision")
    @JSON
    def command(
        send_ids: tuple[int, ...], everything: bool, dry_run: bool, yes: bool, who: str, reason: str | None,
        as_json: bool, **chosen: Any,
    ) -> None:  # fmt: skip
        if bool(send_ids) == everything or (send_ids and any(value is not None for value in chosen.values())):
            raise click.UsageError("give ids of sends, or --all with options")
        filter_ = SendFilter(ids=send_ids or None, states=NEED_A_DECISION, **chosen)
        ids = _ids(filter_)
        changed: list[int] = []
        if everything and not dry_run:
            confirm(f"{len(ids)} will be {verb}. Go on?", yes=yes)
        if not dry_run:
            for part in chunks(ids, IDS_A_CALL):
                changed += outbox_package.decide(engine(), action, part, who, reason)
            wake_senders(redis())
        _print(action, verb, ids if dry_run else changed, sorted(set(send_ids) - set(ids)), dry_run, as_json)


def _ids(filter_: SendFilter) -> list[int]:
    ids: list[int] = []
    with engine().connect() as connection:
        while found := sends.find(connection, filter_, after=ids[-1] if ids else 0):
            ids += [each.id for each in found]
    return ids


def _print(action: str, verb: str, ids: list[int], left: list[int], dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json({"would_be" if dry_run else action: ids, "left_alone": left})
    else:
        click.echo(f"{len(ids)} {'would be ' if dry_run else ''}{verb}")
        for each in left:
            click.echo(f"send {each} was left alone: it is neither dead nor unknown", err=True)
    if left:
        raise SystemExit(1)


_decision(
    "send-again", "send_again", "sent again", "Send again what was not sent. What is unsure may arrive twice."
)
_decision("was-sent", "was_sent", "taken for sent", "Note that it was sent, after you saw it in the chat.")
_decision("drop", "drop", "dropped", "Decide that it need not be sent any more.")


@outbox.command()
@click.argument("number")
def resume(number: str) -> None:
    """Let replies leave from a number again that was stopped, after its token or account is mended."""
    if not OutboxStatements(engine()).resume(number):
        raise click.ClickException(f"number {number} is not stopped")
    wake_senders(redis())
    click.echo(f"number {number} sends again")


def _masked(send: Send) -> Send:
    return replace(
        send,
        conversation=masked_conversation(send.conversation) or "",
        message_id=masked_id(send.message_id) if send.message_id else None,
        error=masked_text(send.error),
    )
