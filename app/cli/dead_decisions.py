"""``neverdrop dead retry``, ``discard`` and ``edit``: what a person decides about dead letters."""

import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import TextIO

import click
from redis.exceptions import RedisError

from app import dead_letters
from app.cli.decide import ALL, DRY_RUN, ID, IDS, Chosen, decide, print_result
from app.cli.filter_options import filtered
from app.cli.parameters import RATE, user
from app.cli.terminal import JSON, YES
from app.dead_letters import ActionResult, PayloadError, RetryRate
from app.handlers import load_handlers, registry
from app.stores import engine, redis
from app.targets import load_targets
from app.views import Filter
from app.views import dead_letters as dead_letter_list
from config.settings import settings

MAX_PAYLOAD = 4 * 1024 * 1024  # characters: a body has 3 MB


@click.command()
@IDS
@filtered("died")
@ALL
@click.option("--rate", type=RATE, help="at most so many a second, so that nothing is flooded")
@DRY_RUN
@YES
@click.option("--who", default=user, help="recorded with the retry; by default you")
@JSON
def retry(
    event_ids: tuple[int, ...],
    filter_: Filter,
    everything: bool,
    rate: float | None,
    dry_run: bool,
    yes: bool,
    who: str,
    as_json: bool,
) -> None:
    """Run dead letters again: they keep their place in their conversations."""
    load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)
    load_targets(settings(), registry)
    since = datetime.now(UTC)

    def act(ids: Sequence[int], first: int) -> ActionResult:
        retry_rate = None if rate is None else RetryRate(rate, since, first)
        return dead_letters.retry(engine(), redis(), registry, ids, who, retry_rate)

    chosen = Chosen(dead_letter_list.LISTING, event_ids, everything, filter_)
    decide(chosen, "retried", act, dry_run=dry_run, as_json=as_json, yes=yes, after_all=_reconcile)


@click.command()
@IDS
@filtered("died")
@ALL
@click.option("--reason", required=True, help="why it need not be handled; recorded")
@DRY_RUN
@YES
@click.option("--who", default=user, help="recorded with the decision; by default you")
@JSON
def discard(
    event_ids: tuple[int, ...],
    filter_: Filter,
    everything: bool,
    reason: str,
    dry_run: bool,
    yes: bool,
    who: str,
    as_json: bool,
) -> None:
    """Decide that dead letters need not be handled. Their rows stay."""

    def act(ids: Sequence[int], _first: int) -> ActionResult:
        return dead_letters.discard(engine(), redis(), ids, who, reason)

    chosen = Chosen(dead_letter_list.LISTING, event_ids, everything, filter_)
    decide(chosen, "discarded", act, dry_run=dry_run, as_json=as_json, yes=yes, after_all=_reconcile)


@click.command()
@click.argument("event_id", type=ID)
@click.option(
    "--file", type=click.File(encoding="utf-8"), help="the edited payload, - for standard input; not $EDITOR"
)
@click.option("--reason", help="what was wrong with it; recorded")
@click.option("--who", default=user, help="recorded with the edit; by default you")
@JSON
def edit(event_id: int, file: TextIO | None, reason: str | None, who: str, as_json: bool) -> None:
    """Edit a dead letter's payload and run it again. The payload before is kept.

    It opens in $EDITOR, with what belongs to people in clear, or comes from --file.
    """
    payload = _read(file) if file else _in_editor(event_id)
    print_result(dead_letters.edit(engine(), redis(), event_id, payload, who, reason), "edited", as_json)


def _read(file: TextIO) -> str:
    payload = file.read(MAX_PAYLOAD + 1)
    if len(payload) > MAX_PAYLOAD:
        raise click.ClickException(f"{file.name} is longer than {MAX_PAYLOAD} characters: no payload is")
    return payload


def _in_editor(event_id: int) -> str:
    """The payload as somebody leaves it, who may go on until it can be read."""
    with engine().connect() as connection:
        letters = dead_letter_list.find(connection, Filter(ids=[event_id]))
    if not letters:
        raise click.ClickException(f"event {event_id} is no dead letter")
    shown = json.dumps(dead_letter_list.content(letters[0]), indent=2, ensure_ascii=False)
    # A lone surrogate is no character that a file could hold; this is how JSON spells it
    payload: str | None = shown.encode(errors="backslashreplace").decode()
    while payload := click.edit(payload, extension=".json"):
        try:
            return dead_letters.validate_payload(payload)
        except PayloadError as error:
            click.echo(str(error), err=True)
            click.confirm("edit it again?", default=True, abort=True, err=True)
    raise click.ClickException("it was not saved: nothing has changed")


def _reconcile() -> None:
    with suppress(RedisError):  # or the next sweep does it
        dead_letters.reconcile(engine(), redis())
