"""The bot of the test of backups: it says each text back, in a lane beside the recorded handlers."""

import os
from pathlib import Path

from app.handlers import Context, Event, on_message
from tests.acceptance.handlers_recorded import GATES


@on_message("text", lane="replies", max_attempts=1000, base_seconds=0.2, cap_seconds=0.5)
def answer(event: Event, ctx: Context) -> None:
    """Fail on a text with ``waits yes`` as long as the gate of its number is closed."""
    words = (event.text or "").split()
    orders = dict(zip(words[::2], words[1::2], strict=False))
    if "waits" in orders and not (Path(os.environ[GATES]) / orders["number"]).exists():
        raise RuntimeError("the gate is closed")
    ctx.reply(event.text)
