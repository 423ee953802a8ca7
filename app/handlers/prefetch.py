"""Fetch what users send right after it came in: ``MEDIA_PREFETCH=true`` loads this beside HANDLERS.

Meta's addresses live for five minutes and its files for seven days, while a dead letter may be retried later still.
It is a job of its own, in a lane of its own: a file that cannot be fetched holds up no bot.
"""

from app.handlers.context import Context, Event
from app.handlers.media import TYPES
from app.handlers.registration import on_message

LANE = "media"


@on_message(*TYPES, lane=LANE, on_failure="skip", max_attempts=20)
def prefetch(_event: Event, ctx: Context) -> None:
    """Keep the message's file in MEDIA_STORE."""
    media = ctx.media()
    if media is not None:
        media.store()
