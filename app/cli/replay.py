"""``neverdrop replay``: have events run again that are done, or that no handler took."""

import getpass
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

import click

from app.cli.filter_options import TimeParameter
from app.cli.terminal import JSON, print_json, progress
from app.handlers import load_handlers, registry
from app.lanes import pauses
from app.replays import Choice, Replay, chosen, make_jobs, outstanding, pairs, start, stop
from app.stores import chunks, engine, redis
from config.settings import settings

EVENTS_A_PART = 50
MAX_OUTSTANDING = 200  # unfinished jobs: more would only wait, before what is live
LOOK_SECONDS = 0.05


def _stop(ctx: click.Context, _option: click.Parameter, replay_id: int | None) -> None:
    if replay_id is None or ctx.resilient_parsing:
        return
    taken_back = stop(engine(), replay_id, getpass.getuser())
    if taken_back is None:
        raise click.ClickException(f"there is no replay {replay_id} that goes on")
    click.echo(f"replay {replay_id} is stopped; {taken_back} jobs that had not begun were taken back")
    ctx.exit()


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
@click.option("--rate", type=click.FloatRange(0.001), help="at most so many events a second")
@click.option("--reason", help="why they are run again; recorded")
@click.option("--who", default=getpass.getuser, help="recorded with the replay; by default you")
@click.option(
    "--dry-run", is_flag=True, help="say how many jobs it would be, by lane and handler, and make none"
)
@click.option(
    "--stop",
    type=int,
    metavar="ID",
    callback=_stop,
    expose_value=False,
    is_eager=True,
    help="stop a replay that goes on, and take back what has not begun",
)
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
    as_json: bool,
) -> None:
    """Have events run again by the handlers that they have today, in their order in each conversation.

    What waits or is dead is left alone. The jobs are made little by little, for as long as this command runs; it may be
    stopped by Ctrl-C, or from elsewhere by --stop.
    """  # fmt: skip
    if reason is None and not dry_run:
        raise click.UsageError("say why: --reason")
    load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)
    with engine().connect() as connection:
        number = None if conversation is None else pauses.find(connection, conversation)
        choice = Choice(since, until, kind, type_, number, lane, handler, unhandled)
        ids = chosen(connection, choice)
    if dry_run:
        _print_dry_run(choice, ids, as_json)
        return
    begun = start(engine(), choice, who, reason or "")
    jobs = _run(begun, ids, rate, shown=not as_json)
    if as_json:
        print_json({"replay": begun.id, "events": len(ids), "jobs": jobs})
    else:
        click.echo(f"replay {begun.id}: {jobs} jobs for {len(ids)} events")


def _run(begun: Replay, ids: Sequence[int], rate: float | None, shown: bool) -> int:
    """Make the jobs, no faster than they are done; return how many. Whoever interrupts it stops the replay."""
    jobs, began, events = 0, time.monotonic(), 0
    try:
        with progress(f"replay {begun.id}", len(ids), shown) as advance:
            for part in chunks(ids, EVENTS_A_PART if rate is None else max(1, min(EVENTS_A_PART, int(rate)))):
                made = make_jobs(engine(), redis(), registry, begun, part)
                if made is None:
                    click.echo(f"replay {begun.id} was stopped", err=True)
                    break
                jobs += made
                events += len(part)
                advance(len(part))
                _wait(begun, began + events / rate if rate else began)
    except KeyboardInterrupt:
        stop(engine(), begun.id, "interrupted")
        raise
    return jobs


def _wait(begun: Replay, go_on_at: float) -> None:
    """Wait for the rate, and until few jobs of the replay are left."""
    while time.monotonic() < go_on_at or outstanding(engine(), begun) > MAX_OUTSTANDING:
        time.sleep(LOOK_SECONDS)


def _print_dry_run(choice: Choice, ids: Sequence[int], as_json: bool) -> None:
    counts: Counter[tuple[str, str]] = Counter()
    with engine().connect() as connection:
        for part in chunks(ids, EVENTS_A_PART):
            found = pairs(connection, registry, choice, part)
            counts.update((pair.handler.lane, pair.handler.name) for pair in found)
    if as_json:
        for (lane, handler), jobs in sorted(counts.items()):
            print_json({"lane": lane, "handler": handler, "jobs": jobs, "dry_run": True})
        return
    for (lane, handler), jobs in sorted(counts.items()):
        click.echo(f"{jobs} jobs for {handler} in lane {lane}")
    click.echo(f"{counts.total()} jobs would be made, for {len(ids)} events that match")
