"""Handlers of messages and of history, which write a row each: live traffic beside an import or a replay."""

import time

from sqlalchemy import text

from app.handlers import Context, Event, on_event, on_message

INSERT = text("INSERT INTO bench_starts (key, replayed, started_at) VALUES (:key, :replayed, :started_at)")


@on_message()
def note(event: Event, ctx: Context) -> None:
    row = {"key": event.key, "replayed": ctx.replayed, "started_at": time.time()}
    ctx.connection.execute(INSERT, row)


@on_event("history")
def archive(event: Event, ctx: Context) -> None:
    note(event, ctx)
