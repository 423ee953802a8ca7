"""Pause the bot when somebody answers from the phone: ``PAUSE_ON_ECHO=12h`` loads this beside HANDLERS.

Meta sends an echo of what is written in the WhatsApp Business app. It is run in a lane of its own, beside the bot's.
What went out through our own outbox is no person's, should Meta ever send an echo of it.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from app.errors import RetryAfter
from app.handlers.context import Context, Event
from app.handlers.options import MAIN_LANE
from app.handlers.registration import on_event
from config.settings import settings

LANE = "handover"
FIELDS = ("smb_message_echoes", "message_echoes")
WAIT_SECONDS = 30.0  # for what may be ours to get its id; with the attempts longer than UNKNOWN_SEND_SECONDS
WHY = "somebody answered from the phone"

OURS = text("SELECT EXISTS (SELECT FROM sends WHERE message_id = :id)")
# Sends of the conversation that may have left without our knowing their ids yet
UNSURE = text("""
SELECT EXISTS (
  SELECT FROM sends s WHERE s.number = :number AND s.message_id IS NULL AND s.state IN ('sending', 'unknown')
    AND s.conversation = :conversation)
""")


@on_event(*FIELDS, lane=LANE, on_failure="skip", max_attempts=30)
def pause_on_echo(event: Event, ctx: Context) -> None:
    """Pause the conversation's lane ``main`` for as long as PAUSE_ON_ECHO says, counted from the answer."""
    left = timedelta(seconds=settings().pause_on_echo or 0) - (datetime.now(UTC) - event.occurred_at)
    if left <= timedelta(0) or event.conversation is None:
        return
    connection = ctx.session.connection()
    if connection.execute(OURS, {"id": event.message_id}).scalar():
        return
    asked = {"number": event.phone_number_id, "conversation": event.conversation}
    if connection.execute(UNSURE, asked).scalar():
        raise RetryAfter(WAIT_SECONDS, "it may be the echo of a reply of ours that is on its way")
    ctx.pause(for_=left, why=WHY, lane=MAIN_LANE)
