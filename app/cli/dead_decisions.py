"""``neverdrop dead retry``, ``discard`` and ``edit``: what a person decides about dead letters."""

import getpass
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TextIO

import click
from redis.exceptions import RedisError

from app import dead_letters
from app.cli.dead_options import filtered
from app.cli.terminal import JSON, print_json, progress
from app.dead_letters import ActionResult, PayloadError, RetryRate
from app.handlers import load_handlers, registry
from app.stores import MAX_ID, chunks, database_now, engine, redis
from app.views import Filter
from app.views import dead_letters as dead_letter_list
from config.settings import settings

IDS_A_CALL = 500

ID = click.IntRange(1, MAX_ID)
IDS = click.argument("event_ids", type=ID, nargs=-1)
ALL = click.option("--all", "everything", is_flag=True, help="every dead letter that matches the options")
DRY_RUN = click.option("--dry-run", is_flag=True, help="say how many it would be, and change nothing")
Act = Callable[[Sequence[int], int], ActionResult]


@click.command()
@IDS
@filtered
@ALL
@click.option(
    "--rate", type=click.FloatRange(0.001), help="at most so many a second, so that nothing is flooded"
)
@DRY_RUN
@click.option("--who", default=getpass.getuser, help="recorded with the retry; by default you")
@JSON
def retry(
    event_ids: tuple[int, ...],
    wanted: Filter,
    everything: bool,
    rate: float | None,
    dry_run: bool,
    who: str,
    as_json: bool,
) -> None:
    """Run dead letters again: they keep their place in their conversations."""
    load_handlers(settings().handlers, settings().handler_time_limit_seconds)
    since = datetime.now(UTC)

    def act(ids: Sequence[int], first: int) -> ActionResult:
        retry_rate = None if rate is None else RetryRate(rate, since, first)
        return dead_letters.retry(engine(), redis(), registry, ids, who, retry_rate)

    _decide(event_ids, everything, wanted, dry_run, as_json, "retried", act)


@click.command()
@IDS
@filtered
@ALL
@click.option("--reason", required=True, help="why it need not be handled; recorded")
@DRY_RUN
@click.option("--who", default=getpass.getuser, help="recorded with the decision; by default you")
@JSON
def discard(
    event_ids: tuple[int, ...],
    wanted: Filter,
    everything: bool,
    reason: str,
    dry_run: bool,
    who: str,
    as_json: bool,
) -> None:
    """Decide that dead letters need not be handled. Their rows stay."""

    def act(ids: Sequence[int], _first: int) -> ActionResult:
        return dead_letters.discard(engine(), redis(), ids, who, reason)

    _decide(event_ids, everything, wanted, dry_run, as_json, "discarded", act)


@click.command()
@click.argument("event_id", type=ID)
@click.option(
    "--file", type=click.File(encoding="utf-8"), help="the edited payload, - for standard input; not $EDITOR"
)
@click.option("--reason", help="what was wrong with it; recorded")
@click.option("--who", default=getpass.getuser, help="recorded with the edit; by default you")
@JSON
def edit(event_id: int, file: TextIO | None, reason: str | None, who: str, as_json: bool) -> None:
    """Edit a dead letter's payload and run it again. The payload before is kept.

    It opens in $EDITOR, with what belongs to people in clear, or comes from --file.
    """
    payload = file.read() if file else _in_editor(event_id)
    _report(dead_letters.edit(engine(), redis(), event_id, payload, who, reason), "edited", as_json)


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


def _decide(
    event_ids: tuple[int, ...],
    everything: bool,
    wanted: Filter,
    dry_run: bool,
    as_json: bool,
    verb: str,
    act: Act,
) -> None:
    """In parts of whole conversations; never all by accident, and never what dies again meanwhile."""
    if event_ids and (everything or wanted != Filter()):
        raise click.UsageError("give event ids, or --all with options, not both")
    if not event_ids and not everything:
        raise click.UsageError("give event ids, or --all")
    if event_ids:
        wanted = Filter(ids=event_ids)
    with engine().connect() as connection:
        now = database_now(connection)
        wanted = replace(wanted, before=min(wanted.before or now, now))
        count = dead_letter_list.count(connection, wanted)
    if dry_run:
        _say({"would_be": count}, f"{count} would be {verb}", as_json)
        return
    result = ActionResult()
    parts = chunks(event_ids, IDS_A_CALL) if event_ids else _whole_lanes(wanted)
    with progress(verb, count) as advance:
        for ids in parts:
            part = act(ids, len(result.changed))
            result.changed += part.changed
            result.refused |= part.refused
            advance(len(ids))
    if everything:
        with suppress(RedisError):  # or the next sweep does it
            dead_letters.reconcile(engine(), redis())
    _report(result, verb, as_json)


def _whole_lanes(wanted: Filter) -> Iterator[list[int]]:
    last_lane: int | None = 0
    while last_lane is not None:
        with engine().connect() as connection:
            ids, last_lane = dead_letter_list.whole_lanes(connection, wanted, last_lane, IDS_A_CALL)
        if ids:
            yield ids


def _report(result: ActionResult, verb: str, as_json: bool) -> None:
    refused = [{"id": id_, "why": why} for id_, why in sorted(result.refused.items())]
    sentence = f"{len(result.changed)} {verb} at {datetime.now(UTC):%H:%M:%S} UTC"
    _say({verb: result.changed, "left_alone": refused}, sentence, as_json)
    for each in refused:
        click.echo(f"event {each['id']} was left alone: {each['why']}", err=True)
    if refused:
        raise SystemExit(1)


def _say(result: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        click.echo(sentence)
