"""``neverdrop status``: what waits, how old it is, and who works on it."""

from datetime import timedelta
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from app.cli.terminal import JSON, console, print_json
from app.stores import engine, redis
from app.watch import backlog
from config.settings import settings


@click.command()
@JSON
def status(as_json: bool) -> None:
    """What waits, how old it is, and who works on it."""
    measured = backlog.measure(engine(), redis(), settings().alert_growth_window_seconds)
    if as_json:
        print_json(_as_dict(measured))
        return
    console().print(_status_table(measured))


def _as_dict(measured: backlog.Backlog) -> dict[str, Any]:
    workers = {name: sorted(queues) for name, queues in measured.transport.workers.items()}
    return {
        "unfinished": measured.size,
        "oldest_seconds": measured.oldest_seconds,
        "journal": measured.transport.journal,
        "second_door": measured.stored.deliveries,
        "pending": measured.stored.pending,
        "held_lanes": measured.stored.held_lanes,
        "paused_lanes": measured.stored.paused_lanes,
        "paused_events": measured.stored.paused,
        "dead_letters": measured.dead_letters,
        "queues": dict(measured.transport.queues),
        "workers": workers,
        "alerts": sorted(measured.stored.raised),
    }


def _status_table(measured: backlog.Backlog) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_row("unfinished", f"{measured.size} (oldest {_age(measured.oldest_seconds)})")
    table.add_row("  in the journal", str(measured.transport.journal))
    table.add_row("  in the fallback store", str(measured.stored.deliveries))
    table.add_row("  pending events", str(measured.stored.pending))
    table.add_row("lanes held by a failing event", str(measured.stored.held_lanes))
    if measured.stored.paused_lanes:
        paused = f"{measured.stored.paused_lanes} ({measured.stored.paused} events wait there)"
        table.add_row("paused conversations", paused)
    table.add_row("dead letters", Text(str(measured.dead_letters), "red" if measured.dead_letters else ""))
    for queue, length in measured.transport.queues.items():
        table.add_row(f"queue {queue}", str(length))
    workers = measured.transport.workers
    table.add_row("workers alive", "\n".join(sorted(workers)) if workers else Text("none", "red"))
    table.add_row("alerts", ", ".join(sorted(measured.stored.raised)) or "none")
    return table


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
