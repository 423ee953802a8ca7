"""The handler that ``neverdrop demo`` watches: it notes what it does, and when, in the event's own transaction.

Load it with ``HANDLERS=app.dev.demo.handlers``; its table is no part of the schema, the demo makes it. A text
``fail N`` fails its first N attempts, ``fail always`` all of them, and ``take N`` takes N seconds.
"""

import time
from datetime import datetime

from sqlalchemy import func, select

from app.dev.judge import RecordedEffect
from app.handlers import Context, Event, on_message, on_status
from app.stores import MessageState

MAX_ATTEMPTS = 5  # two asked-for failures and two killed workers leave one to spare
BASE_SECONDS = 0.3
CAP_SECONDS = 1.0
MAX_SECONDS = 10  # that a text may ask for


@on_message("text", max_attempts=MAX_ATTEMPTS, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def message(event: Event, ctx: Context) -> None:
    """Do what the text asks for, and note it."""
    started_at = _now(ctx)
    word, number = _command(event.text or "")
    if word == "fail" and (number is None or ctx.attempt <= number):
        raise RuntimeError("the message asked to fail")
    if word == "take":
        time.sleep(min(number or 0, MAX_SECONDS))
    _note(event, ctx, started_at, None)


@on_status(max_attempts=MAX_ATTEMPTS, base_seconds=BASE_SECONDS, cap_seconds=CAP_SECONDS)
def status(event: Event, ctx: Context) -> None:
    """Note how far the message has come by now."""
    started_at = _now(ctx)
    furthest = select(MessageState.status).where(
        MessageState.message_id == event.message_id, MessageState.participant == ""
    )
    seen = ctx.session.scalar(furthest)
    _note(event, ctx, started_at, seen.value if seen else None)


def _now(ctx: Context) -> datetime:
    """Postgres's clock, which all workers share."""
    now: datetime = ctx.session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def _note(event: Event, ctx: Context, started_at: datetime, seen: str | None) -> None:
    ctx.session.add(
        RecordedEffect(
            job_id=event.id,  # each event has one job here, which has its number
            attempt=ctx.attempt,
            late=event.late,
            started_at=started_at,
            status_seen=seen,
        )
    )


def _command(text: str) -> tuple[str, int | None]:
    """``fail 2 times`` → (fail, 2); ``fail always`` → (fail, None); anything else asks for nothing."""
    word, _, rest = text.partition(" ")
    first = rest.partition(" ")[0]
    if word in ("fail", "take") and first.isdecimal():
        return word, int(first)
    return ("fail", None) if (word, first) == ("fail", "always") else ("", None)
