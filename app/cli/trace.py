"""``neverdrop trace``: what became of a message."""

from dataclasses import asdict
from typing import Any

import click
from redis.exceptions import RedisError
from rich.console import Console
from rich.text import Text

from app.cli.terminal import JSON, REVEAL, console, print_json
from app.cli.times import iso
from app.stores import engine, redis
from app.views import QUOTING_DETAILS, masked_conversation, masked_id, masked_text, timeline
from config.logging import hiding

MICRO = "microseconds"


@click.command()
@click.argument("identifier")
@JSON
@REVEAL
def trace(identifier: str, as_json: bool, reveal: bool) -> None:
    """Show what became of a message, for each of its jobs.

    IDENTIFIER is a message's id (wamid), a delivery's id, or the number of an event or job.
    """
    with engine().connect() as connection:
        timelines = timeline.find_timelines(connection, identifier)
        statuses = timeline.statuses_of(connection, identifier)
    waiting = _in_journal(identifier)
    if not (timelines or statuses or waiting):
        raise click.ClickException(f"nothing is known of {masked_id(identifier, reveal)}")
    if as_json:
        for delivery_id, at in waiting:
            print_json({"delivery_id": delivery_id, "received_at": at, "state": "journal"})
        for history in timelines:
            print_json(_masked(history, reveal))
        return
    out = console()
    for delivery_id, at in waiting:
        out.print(f"{iso(at, MICRO)}  received   delivery {delivery_id}, waits in the journal")
    for history in timelines:
        _print(out, history, reveal)
    for row in statuses:
        times = "  ".join(
            f"{name[:-3]} {iso(value)}" for name, value in row.items() if name.endswith("_at") and value
        )
        out.print(f"status of the message: {row['status']}   {times}")


def _in_journal(identifier: str) -> list[Any]:
    try:
        return list(timeline.in_journal(redis(), identifier))
    except RedisError:
        return []  # the tables hold the rest


def _masked(history: timeline.Timeline, reveal: bool) -> dict[str, Any]:
    shown = asdict(history)
    del shown["payload"]
    if not reveal:
        with hiding(history.payload):
            shown["key"] = masked_text(history.key)
            shown["conversation"] = masked_conversation(history.conversation)
            shown["error"] = masked_text(history.error)
            for moment in shown["moments"]:
                moment["detail"].pop("payload", None)  # of a changed duplicate
                for name in QUOTING_DETAILS:
                    if moment["detail"].get(name):
                        moment["detail"][name] = masked_text(moment["detail"][name])
    return shown


def _print(console: Console, history: timeline.Timeline, reveal: bool) -> None:
    shown = _masked(history, reveal)
    console.print(
        Text.assemble(
            (f"event {history.event_id} ", "bold"),
            f"{history.kind}/{history.type} {shown['key']}",
            f"   job {history.id} in lane {history.lane_name}",
            f", replay {history.replay_id}" if history.replay_id is not None else "",
        )
    )
    console.print(
        Text(f"  conversation {shown['conversation'] or 'none'}   handler {history.handler or 'none'}   ")
        + Text(history.state, STATE_STYLES.get(history.state, ""))
        + Text("   late" if history.late else "")
        + Text(f"   due at {iso(history.due_at)}" if history.due_at else "")
    )
    for moment in shown["moments"]:
        console.print(Text(f"  {iso(moment['at'], MICRO)}  {moment['what']:<10} {_detail(moment)}"))


STATE_STYLES = {"done": "green", "pending": "yellow", "dead": "red"}


def _detail(moment: dict[str, Any]) -> str:
    detail = moment["detail"]
    if moment["what"] != "attempt":
        return "  ".join(f"{name} {value}" for name, value in detail.items() if value is not None)
    if detail["seconds"] is None:
        ended = "running, or its worker died"
    else:
        ended = f"{detail['error'] or 'succeeded'} after {detail['seconds']:.3f} s"
    if detail["answer"]:
        ended += f"; it answered: {detail['answer']}"
    return f"{detail['number']} by {detail['worker']}: {ended}"
