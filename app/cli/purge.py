"""``neverdrop purge``: delete by hand what was finished long ago."""

from dataclasses import asdict
from datetime import datetime

import click

from app.cli.terminal import JSON, YES, confirm, print_json, progress
from app.cli.times import iso
from app.recovery import Purged, retention
from app.stores import engine, redis
from config.settings import settings
from config.settings_checks import check_retention


def _days(_ctx: click.Context, _option: click.Parameter, days: int | None) -> int | None:
    try:
        return None if days is None else check_retention(days)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--older-than", type=int, callback=_days, metavar="DAYS", help="at least 8; RETENTION_DAYS if not given"
)
@click.option("--dry-run", is_flag=True, help="say how many events it would be, and delete nothing")
@YES
@JSON
def purge(older_than: int | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Delete what was finished (done or discarded) so many days ago.

    With everything that hangs on it: attempts, decisions, statuses of messages, deliveries. What is pending or dead
    stays, and so do conversations. It may be stopped at any moment, and run beside everything else.
    """
    days = older_than if older_than is not None else settings().retention_days
    if days is None:
        raise click.ClickException("say how old: --older-than DAYS, or set RETENTION_DAYS")
    before = retention.cutoff(engine(), redis(), days)
    total = retention.count(engine(), before)
    if dry_run:
        _print_dry_run(total, before, as_json)
        return
    confirm(f"{total} events that were finished before {iso(before)} will be deleted. Go on?", yes=yes)
    purged = _purge(total, before, not as_json)
    if as_json:
        print_json({"finished_before": before, **asdict(purged)})
        return
    click.echo(
        f"deleted {purged.events} events that were finished before {iso(before)}, with {purged.attempts} attempts,"
        f" {purged.actions} decisions, {purged.statuses} statuses of messages and {purged.deliveries} deliveries"
    )


def _purge(total: int, before: datetime, shown: bool) -> Purged:
    purged = Purged()
    try:
        with progress("deleting", total, shown) as advance:
            for deleted in retention.purge(engine(), before):
                purged += deleted
                advance(deleted.events)
    finally:  # also of one that was stopped
        retention.report(purged, before)
    return purged


def _print_dry_run(total: int, before: datetime, as_json: bool) -> None:
    if as_json:
        print_json({"finished_before": before, "events": total, "dry_run": True})
    else:
        click.echo(f"would delete {total} events that were finished before {iso(before)}")
