"""``neverdrop replay``: have events run again that are done, or that no handler took."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

import click
from rich.table import Table

from app.cli.decide import ID
from app.cli.filter_options import TimeParameter
from app.cli.parameters import RATE, user
from app.cli.terminal import JSON, console, print_json, progress
from app.handlers import load_handlers, registry
from app.lanes import pauses
from app.replays import Choice, Replay, ReplayCounts, chosen, count, run, start, stop
from app.stores import engine, redis
from app.targets import load_targets
from app.views import replays
from config.settings import settings

MAX_LISTED = 50


def _stop(ctx: click.Context, _option: click.Parameter, replay_id: int | None) -> None:
    if replay_id is None or ctx.resilient_parsing:
        return
    taken_back = stop(engine(), replay_id, user())
    if taken_back is None:
        raise click.ClickException(f"there is no replay {replay_id} that goes on")
    click.echo(f"replay {replay_id} is stopped; {taken_back} jobs that had not begun were taken back")
    ctx.exit()


def _print_list(as_json: bool) -> None:
    with engine().connect() as connection:
        found = replays.find(connection, MAX_LISTED)
    if as_json:
        for each in found:
            print_json(asdict(each))
        return
    table = Table("replay", "begun", "by", "why", "state", "events", "jobs", "waiting", box=None)
    for each in found:
        events = f"{each.looked_at} of {each.events}" if each.events is not None else ""
        state = f"{each.state} by {each.stopped_by}" if each.stopped_by else each.state
        begun, counts = f"{each.at:%Y-%m-%d %H:%M}", (str(each.jobs), str(each.waiting))
        table.add_row(str(each.id), begun, each.who, each.reason, state, events, *counts)
    console().print(table)


@click.command()
@click.option(
    "--since", type=TimeParameter(), help="accepted at this time or later; UTC unless it says otherwise"
)
@click.option("--until", type=TimeParameter(), help="accepted before this time")
@click.option("--type", "type_", help="of this type only")
@click.option("--kind", help="of this kind only")
@click.option("--conversation", help="of this conversation only")
@click.option("--lane", help="by handlers of this lane name only")
@click.option("--handler", help="by this handler only")
@click.option("--unhandled", is_flag=True, help="only what no handler of the lane name has had yet")
@click.option("--rate", type=RATE, help="at most so many events a second")
@click.option("--reason", help="why they are run again; recorded")
@click.option("--who", default=user, help="recorded with the replay; by default you")
@click.option(
    "--dry-run", is_flag=True, help="say how many jobs it would be, by lane and handler, and make none"
)
@click.option(
    "--stop",
    type=ID,
    metavar="ID",
    callback=_stop,
    expose_value=False,
    is_eager=True,
    help="stop a replay that goes on, and take back what has not begun",
)
@click.option(
    "--list",
    "listed",
    is_flag=True,
    help="show the replays: who began which, when and why, and how far it is",
)
@click.option(
    "--send-again", is_flag=True, help="let what their handlers have sent leave once more; asks before"
)
@click.option("--yes", is_flag=True, help="with --send-again: do not ask")
@JSON
def replay(
    since: datetime | None,
    until: datetime | None,
    type_: str | None,
    kind: str | None,
    conversation: str | None,
    lane: str | None,
    handler: str | None,
    unhandled: bool,
    rate: float | None,
    reason: str | None,
    who: str,
    dry_run: bool,
    send_again: bool,
    yes: bool,
    listed: bool,
    as_json: bool,
) -> None:
    """Have events run again by the handlers that they have today, in their order in each conversation.

    What waits or is dead is left alone. What a handler sent for an event is not sent again, unless --send-again says
    so. The jobs are made little by little, for as long as this command runs; it may be stopped by Ctrl-C, or from
    elsewhere by --stop.
    """  # fmt: skip
    if listed:
        _print_list(as_json)
        return
    if reason is None and not dry_run:
        raise click.UsageError("say why: --reason")
    load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)
    load_targets(settings(), registry)
    with engine().connect() as connection:
        number = None if conversation is None else pauses.find(connection, conversation)
        choice = Choice(since, until, kind, type_, number, lane, handler, unhandled)
        ids = chosen(connection, choice)
        counted = count(connection, registry, choice, ids) if dry_run or send_again else None
    if counted is not None and dry_run:
        _print_counts(counted, len(ids), as_json)
        return
    if counted is not None and not yes:
        _ask(counted)
    begun = start(engine(), choice, who, reason or "", len(ids), sends_again=send_again)
    jobs = _run(begun, ids, rate, shown=not as_json)
    if as_json:
        print_json({"replay": begun.id, "events": len(ids), "jobs": jobs})
    else:
        click.echo(f"replay {begun.id}: {jobs} jobs for {len(ids)} events")


def _ask(counted: ReplayCounts) -> None:
    """Ask whether what was sent is to leave again; where nobody can answer, --yes must say so."""
    if not sys.stdin.isatty():
        raise click.UsageError(f"{counted.sends} replies would be sent again: say so with --yes")
    question = f"{counted.jobs.total()} jobs; {counted.sends} replies may be sent a second time. Go on?"
    click.confirm(question, abort=True, err=True)


def _run(begun: Replay, ids: Sequence[int], rate: float | None, shown: bool) -> int:
    """Make the jobs, no faster than they are done; return how many. Whoever interrupts it stops the replay."""
    try:
        with progress(f"replay {begun.id}", len(ids), shown) as advance:
            jobs, ended = run(engine(), redis(), registry, begun, ids, rate, advance)
    except KeyboardInterrupt:
        stop(engine(), begun.id, "interrupted")
        raise
    if not ended:
        click.echo(f"replay {begun.id} was stopped", err=True)
    return jobs


def _print_counts(counted: ReplayCounts, events: int, as_json: bool) -> None:
    for (lane, handler), jobs in sorted(counted.jobs.items()):
        if as_json:
            print_json({"lane": lane, "handler": handler, "jobs": jobs, "dry_run": True})
        else:
            click.echo(f"{jobs} jobs for {handler} in lane {lane}")
    if not as_json:
        click.echo(f"{counted.jobs.total()} jobs would be made, for {events} events that match")
    if not as_json and counted.sends:
        click.echo(f"{counted.sends} replies were sent for them, which leave again with --send-again only")
