"""``neverdrop migrate``, ``status`` and ``trace``."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app.cli.terminal import JSON, REVEAL, console, print_json
from app.stores import engine, redis
from app.stores import migrate as migrate_tables
from app.views import masked_conversation, masked_id, masked_text, timeline
from app.watch import backlog
from config.logging import hiding
from config.settings import settings


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    migrate_tables()
    click.echo("the database is up to date")


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


@click.command()
@click.argument("identifier")
@JSON
@REVEAL
def trace(identifier: str, as_json: bool, reveal: bool) -> None:
    """A message's whole story. IDENTIFIER is a message's id (wamid), an event's id or a delivery's id."""
    with engine().connect() as connection:
        stories = timeline.trace(connection, identifier)
        statuses = timeline.statuses_of(connection, identifier)
    waiting = _in_journal(identifier)
    if not (stories or statuses or waiting):
        raise click.ClickException(f"nothing is known of {masked_id(identifier, reveal)}")
    if as_json:
        for delivery_id, at in waiting:
            print_json({"delivery_id": delivery_id, "received_at": at, "state": "journal"})
        for story in stories:
            print_json(_masked_story(story, reveal))
        return
    out = console()
    for delivery_id, at in waiting:
        out.print(f"{at:%Y-%m-%d %H:%M:%S.%f}  received   delivery {delivery_id}, waits in the journal")
    for story in stories:
        _print_story(out, story, reveal)
    for row in statuses:
        times = "  ".join(
            f"{name[:-3]} {value:%H:%M:%S}" for name, value in row.items() if name.endswith("_at") and value
        )
        out.print(f"status of the message: {row['status']}   {times}")


def _in_journal(identifier: str) -> list[Any]:
    try:
        return list(timeline.in_journal(redis(), identifier))
    except RedisError:
        return []  # the tables have told what they know


def _masked_story(story: timeline.Story, reveal: bool) -> dict[str, Any]:
    shown = asdict(story)
    del shown["payload"]
    if not reveal:
        with hiding(story.payload):
            shown["key"] = masked_text(story.key)
            shown["conversation"] = masked_conversation(story.conversation)
            shown["error"] = masked_text(story.error)
            for moment in shown["moments"]:
                moment["detail"].pop("payload", None)  # of a changed duplicate
                for name in ("error", "traceback"):
                    if moment["detail"].get(name):
                        moment["detail"][name] = masked_text(moment["detail"][name])
    return shown


def _print_story(console: Console, story: timeline.Story, reveal: bool) -> None:
    shown = _masked_story(story, reveal)
    console.print(
        Text.assemble((f"event {story.event_id} ", "bold"), f"{story.kind}/{story.type} {shown['key']}")
    )
    console.print(
        Text(f"  conversation {shown['conversation'] or 'none'}   handler {story.handler or 'none'}   ")
        + Text(story.state, STATE_STYLES.get(story.state, ""))
        + Text("   late" if story.late else "")
        + Text(f"   due at {story.due_at:%H:%M:%S}" if story.due_at else "")
    )
    for moment in shown["moments"]:
        console.print(Text(f"  {moment['at']:%Y-%m-%d %H:%M:%S.%f}  {moment['what']:<9} {_detail(moment)}"))


STATE_STYLES = {"done": "green", "pending": "yellow", "dead": "red"}


def _detail(moment: dict[str, Any]) -> str:
    detail = moment["detail"]
    if moment["what"] != "attempt":
        return "  ".join(f"{name} {value}" for name, value in detail.items() if value is not None)
    if detail["seconds"] is None:
        ended = "running, or its worker died"
    else:
        ended = f"{detail['error'] or 'succeeded'} after {detail['seconds']:.3f} s"
    return f"{detail['number']} by {detail['worker']}: {ended}"
