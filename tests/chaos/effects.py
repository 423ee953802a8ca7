"""What the handlers of the fault test do: a run that is committed leaves a row; some fail, are slow, or die.

What a run does is decided by the event and the attempt alone, so that a replay does the same. Importing this
registers nothing.
"""

import os
import signal
import time
from functools import cache
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import text

from app.dev.judge import RecordedEffect
from app.handlers import Context, Event, Permanent
from tests.chaos.bodies import DIES, EXITS, FAILS, MAIN_LANE

FAILING = 0.05  # of the attempts
SLOW = 0.01  # of the attempts
SLOW_SECONDS = 3.0
# What others do to the handlers, while a file of this name is in the directory that DOWNSTREAM names
DOWNSTREAM = "NEVERDROP_CHAOS_DOWNSTREAM"
DRAGS = "drags"
DRAG_SECONDS = 1.0
STOPS = "stops"
STOPPING = 0.2  # of the attempts meanwhile
# An event has one job at a time in a lane name
BEGUN = text("""
SELECT clock_timestamp() AS at, (
  SELECT id FROM jobs
  WHERE event_id = :event AND lane_name_id = (SELECT id FROM lane_names WHERE name = :lane_name)
) AS job_id
""")


def message(event: Event, ctx: Context, lane_name: str = MAIN_LANE) -> None:
    """Do what the text says, as far as this attempt in this lane name is concerned."""
    if event.text == DIES and ctx.attempt == 1 and lane_name == MAIN_LANE and not ctx.replayed:
        die()
    if event.text == EXITS and ctx.attempt == 1:
        raise SystemExit("the message asked for it")
    if event.text == FAILS:
        if ctx.attempt > 1:
            raise Permanent("the message asked for it")
        raise RuntimeError("the message asked to fail")
    record(event, ctx, lane_name)


def die() -> None:
    """Nothing of this process gets to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def record(event: Event, ctx: Context, lane_name: str = MAIN_LANE) -> None:
    """Fail or be slow by chance, and leave a row of it."""
    begun = ctx.session.execute(BEGUN, {"event": event.id, "lane_name": lane_name}).one()
    downstream(event, ctx)
    drawn = chance(f"{event.key} {lane_name}", ctx.attempt)
    if drawn < FAILING:
        raise RuntimeError("by chance")
    if drawn > 1 - SLOW:
        time.sleep(SLOW_SECONDS)
    ctx.session.add(
        RecordedEffect(
            job_id=begun.job_id,
            attempt=ctx.attempt,
            late=event.late,
            started_at=begun.at,
        )
    )


def downstream(event: Event, ctx: Context) -> None:
    """Be slow, or raise SystemExit by chance, while a service that the handlers call does that to them."""
    directory = _downstream()
    if directory is None:
        return
    if (directory / DRAGS).exists():
        time.sleep(DRAG_SECONDS)
    if (directory / STOPS).exists() and chance(f"stop {event.key}", ctx.attempt) < STOPPING:
        raise SystemExit("a library that a handler calls gave up")


@cache
def _downstream() -> Path | None:
    path = os.environ.get(DOWNSTREAM)
    return Path(path) if path else None


def chance(key: str, attempt: int) -> float:
    """From 0 to 1, the same each time for the same attempt."""
    digest = blake2b(f"{key} {attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
