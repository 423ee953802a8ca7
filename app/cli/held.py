"""``neverdrop held``: events that wait for their next attempt; list them, retry them now, or skip them."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import click
from rich.table import Table
from rich.text import Text

from app import dead_letters
from app.cli.decide import ALL, DRY_RUN, IDS, Chosen, decide
from app.cli.filter_options import filtered
from app.cli.parameters import user
from app.cli.terminal import JSON, REVEAL, YES, console, limited, print_json
from app.cli.times import iso
from app.dead_letters import ActionResult
from app.stores import engine, redis
from app.views import Filter, Held, masked_conversation, masked_text
from app.views import held as held_list
from config.logging import hiding

SHOWN_AT_ONCE = 50
ERROR_WIDTH = 60


@click.group()
def held() -> None:
    """What failed and waits for its next attempt: look at it, retry it now, or decide that it need not be handled."""


@held.command("list")
@filtered("failed")
@limited(SHOWN_AT_ONCE, "the first due first")
@JSON
@REVEAL
def list_(filter_: Filter, limit: int, as_json: bool, reveal: bool) -> None:
    """List events that wait for their next attempt, the first that is due first."""
    with engine().connect() as connection:
        events = held_list.find(connection, filter_, limit)
    events = [event if reveal else _masked(event) for event in events]
    if as_json:
        for event in events:
            print_json({name: value for name, value in asdict(event).items() if name != "payload"})
        return
    if not events:
        click.echo("nothing waits for its next attempt")
        return
    table = Table(
        "id", "due", "type", "conversation", "lane", "handler", "attempts", "waiting", "error", box=None
    )
    for event in events:
        cells = (
            str(event.id),
            iso(event.due_at),
            event.type,
            event.conversation or "none",
            event.lane_name,
            event.handler or "none",
            str(event.attempts),
            str(event.waiting) if event.blocks_lane else "none",
            event.error.splitlines()[0][:ERROR_WIDTH] if event.error else "none",
        )
        table.add_row(*map(Text, cells))  # a str would be read as rich's markup
    console().print(table)
    if len(events) == limit:
        click.echo(f"the first {limit}; --limit shows more", err=True)


@held.command()
@IDS
@filtered("failed")
@ALL
@DRY_RUN
@YES
@click.option("--who", default=user, help="recorded with the retry; by default you")
@JSON
def retry(
    event_ids: tuple[int, ...],
    filter_: Filter,
    everything: bool,
    dry_run: bool,
    yes: bool,
    who: str,
    as_json: bool,
) -> None:
    """Run events now that wait for their next attempt, after a fix. Their attempts count from 1 again."""

    def act(ids: Sequence[int], _first: int) -> ActionResult:
        return dead_letters.retry_held(engine(), redis(), ids, who)

    chosen = Chosen(held_list.LISTING, event_ids, everything, filter_)
    decide(chosen, "retried", act, dry_run=dry_run, as_json=as_json, yes=yes)


@held.command()
@IDS
@filtered("failed")
@ALL
@click.option("--reason", required=True, help="why they need not be handled; recorded")
@DRY_RUN
@YES
@click.option("--who", default=user, help="recorded with the decision; by default you")
@JSON
def skip(
    event_ids: tuple[int, ...],
    filter_: Filter,
    everything: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    who: str,
    as_json: bool,
) -> None:
    """Decide that events need not be handled. Their conversations go on, and their rows stay."""

    def act(ids: Sequence[int], _first: int) -> ActionResult:
        return dead_letters.skip_held(engine(), redis(), ids, who, reason)

    chosen = Chosen(held_list.LISTING, event_ids, everything, filter_)
    decide(chosen, "skipped", act, dry_run=dry_run, as_json=as_json, yes=yes)


def _masked(event: Held) -> Held:
    with hiding(event.payload):
        return replace(
            event,
            key=masked_text(event.key) or "",
            conversation=masked_conversation(event.conversation),
            error=masked_text(event.error) or "",
        )
