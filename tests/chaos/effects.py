"""What the handlers of the fault test do: a run that is committed leaves a row; some fail, are slow, or die.

What a run does is decided by the event and the attempt alone, so that a replay does the same. Importing this
registers nothing.
"""

import os
import signal
import time
from hashlib import blake2b

from sqlalchemy import func, select

from app.dev.judge import RecordedEffect
from app.handlers import Context, Event, Permanent
from tests.chaos.bodies import DIES, EXITS, FAILS

FAILING = 0.05  # of the attempts
SLOW = 0.01  # of the attempts
SLOW_SECONDS = 3.0


def message(event: Event, ctx: Context) -> None:
    """Do what the text says, as far as this attempt is concerned."""
    if event.text == DIES and ctx.attempt == 1:
        die()
    if event.text == EXITS and ctx.attempt == 1:
        raise SystemExit("the message asked for it")
    if event.text == FAILS:
        if ctx.attempt > 1:
            raise Permanent("the message asked for it")
        raise RuntimeError("the message asked to fail")
    record(event, ctx)


def die() -> None:
    """Nothing of this process gets to tidy up."""
    os.kill(os.getpid(), signal.SIGKILL)


def record(event: Event, ctx: Context) -> None:
    """Fail or be slow by chance, and leave a row of it."""
    started_at = ctx.session.execute(select(func.clock_timestamp())).scalar_one()
    drawn = chance(event.key, ctx.attempt)
    if drawn < FAILING:
        raise RuntimeError("by chance")
    if drawn > 1 - SLOW:
        time.sleep(SLOW_SECONDS)
    ctx.session.add(
        RecordedEffect(
            event_id=event.id,
            attempt=ctx.attempt,
            late=event.late,
            started_at=started_at,
        )
    )


def chance(key: str, attempt: int) -> float:
    """From 0 to 1, the same each time for the same attempt."""
    digest = blake2b(f"{key} {attempt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
