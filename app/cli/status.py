"""``neverdrop status``: what waits, how old it is, who works on it, and which alerts are raised."""

import sys
from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from app.cli.errors import sentence
from app.cli.terminal import JSON, console, print_json
from app.stores import engine, redis
from app.watch import OutboxBacklog, PartialBacklog, PartialProbe, PostgresBacklog, RedisBacklog
from config.settings import settings

STORE_SECONDS = 10.0  # a store that has not answered by then is not waited for
STORES = {"postgres": "Postgres", "redis": "Redis"}
UNKNOWN = "not known"


@click.command()
@JSON
def status(as_json: bool) -> None:
    """What waits, how old it is, and who works on it; exits with 1 while a store does not answer."""
    window = settings().alert_growth_window_seconds
    measured = PartialProbe().ask(engine(), redis(), window, STORE_SECONDS)
    if as_json:
        print_json(_as_dict(measured))
    else:
        console().print(_status_table(measured))
    if measured.errors:
        _explain(measured.errors)
        sys.exit(1)


def _explain(errors: dict[str, Exception]) -> None:
    for store, error in errors.items():
        if isinstance(error, TimeoutError):
            text: str | None = f"{STORES[store]} has not answered within {STORE_SECONDS:g} s"
        else:
            text = sentence(error)
        if text is None:
            raise error
        click.echo(f"neverdrop: {text}", err=True)


def _as_dict(measured: PartialBacklog) -> dict[str, Any]:
    """Numbers that are not known are null, and ``unanswered`` names the stores that would know them."""
    complete, stored, transport = measured.complete, measured.stored, measured.transport
    alive = measured.workers
    workers = None if alive is None else {name: sorted(queues) for name, queues in alive.items()}
    return {
        "unfinished": complete and complete.size,
        "oldest_seconds": complete and complete.oldest_seconds,
        "journal": transport and transport.journal,
        "second_door": stored and stored.deliveries,
        "pending": stored and stored.pending,
        "held_lanes": stored and stored.held_lanes,
        "paused_lanes": stored and stored.paused_lanes,
        "paused_events": stored and stored.paused,
        "dead_letters": stored and stored.dead_letters,
        "unhandled": stored and stored.unhandled,
        "stale": stored and stored.stale,
        "replies_waiting": stored and stored.outbox.waiting,
        "replies_unknown": stored and stored.outbox.unknown,
        "replies_dead": stored and stored.outbox.dead,
        "stopped_numbers": stored and list(stored.outbox.stopped),
        "forwards_waiting": stored and stored.targets.waiting,
        "stopped_targets": stored and list(stored.targets.stopped),
        "targets": transport and {name: asdict(health) for name, health in transport.targets.items()},
        "queues": transport and dict(transport.queues),
        "quarantined": transport and transport.quarantined,
        "workers": workers,
        "alerts": sorted(measured.raised),
        "unanswered": sorted(measured.errors),
    }


def _status_table(measured: PartialBacklog) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2))
    complete, stored, transport = measured.complete, measured.stored, measured.transport
    table.add_row(
        "unfinished", f"{complete.size} (oldest {_age(complete.oldest_seconds)})" if complete else UNKNOWN
    )
    table.add_row("  in the journal", str(transport.journal) if transport else UNKNOWN)
    _add_stored(table, stored)
    _add_transport(table, transport, measured.workers)
    table.add_row("alerts", ", ".join(sorted(measured.raised)) or "none")
    for store in measured.errors:
        table.add_row("", Text(f"{STORES[store]} does not answer: what it knows is missing here", "red"))
    return table


def _add_stored(table: Table, stored: PostgresBacklog | None) -> None:
    if stored is None:
        table.add_row("pending events, dead letters", UNKNOWN)
        return
    table.add_row("  in the fallback store", str(stored.deliveries))
    table.add_row("  pending events", str(stored.pending))
    table.add_row("lanes held by a failing event", str(stored.held_lanes))
    if stored.paused_lanes:
        table.add_row("paused conversations", f"{stored.paused_lanes} ({stored.paused} events wait there)")
    if stored.unhandled:
        table.add_row("without a handler, in the last hour", str(stored.unhandled))
    if stored.stale:
        table.add_row("stale, in the last hour", str(stored.stale))
    _add_outbox(table, stored.outbox)
    if stored.targets.waiting:
        table.add_row("jobs of targets", str(stored.targets.waiting))
    if stored.targets.stopped:
        table.add_row("targets that are stopped", Text(", ".join(stored.targets.stopped), "red"))
    table.add_row("dead letters", Text(str(stored.dead_letters), "red" if stored.dead_letters else ""))


def _add_outbox(table: Table, outbox: OutboxBacklog) -> None:
    if outbox.waiting:
        no_token = "" if settings().access_tokens else " (WHATSAPP_ACCESS_TOKEN is not set: they wait for it)"
        table.add_row("replies that wait to leave", f"{outbox.waiting}{no_token}")
    if outbox.unknown:
        table.add_row("replies that may have been sent", str(outbox.unknown))
    if outbox.stopped:
        table.add_row("numbers that are stopped", Text(", ".join(outbox.stopped), "red"))
    if outbox.dead:
        table.add_row("replies that wait for a person", Text(str(outbox.dead), "red"))


def _add_transport(
    table: Table, transport: RedisBacklog | None, workers: Mapping[str, frozenset[str]] | None
) -> None:
    if transport is None:
        table.add_row("queues, workers", UNKNOWN)
        return
    for queue, length in transport.queues.items():
        table.add_row(f"queue {queue}", str(length))
    if transport.quarantined:
        table.add_row("messages that could not be run", Text(str(transport.quarantined), "red"))
    failing = [name for name, health in transport.targets.items() if health.breaker != "closed"]
    if failing:
        table.add_row("targets that fail", Text(", ".join(failing), "red"))
    if workers is None:
        table.add_row("workers alive", f"{UNKNOWN}: Redis takes no writes, their heartbeats neither")
    else:
        table.add_row("workers alive", "\n".join(sorted(workers)) if workers else Text("none", "red"))


def _age(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
