"""What a handler of the comparison does: the row that the peers write, in the transaction that marks the event done."""

import json
import os
import time

from sqlalchemy import text

from app.handlers import Context, Event

WAIT_SECONDS = float(os.environ.get("BENCH_HANDLER_SECONDS", "0"))
INSERT = text(
    "INSERT INTO bench_rows (key, kind, body, started_at) VALUES (:key, 'message', :body, :started_at)"
)


def insert_row(event: Event, ctx: Context, suffix: str = "") -> None:
    """Write the row of a message; ``suffix`` tells the rows of several handlers apart."""
    started_at = time.time()
    if WAIT_SECONDS:
        time.sleep(WAIT_SECONDS)
    row = {"key": f"{event.message_id}{suffix}", "body": json.dumps(event.item), "started_at": started_at}
    ctx.connection.execute(INSERT, row)
