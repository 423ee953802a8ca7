"""The handler of processes under attack: it fails in the way that a message's first word names.

Only processes load it: tests import the ways, since a process of tests has one handler for texts already.
"""

from app.handlers import Context, Event, on_message
from tests.hostile.leaking_handlers import WAYS


@on_message("text", max_attempts=1, time_limit_seconds=2)
def leak(event: Event, ctx: Context) -> None:
    """Fail as the text's first word says."""
    WAYS[str(event.text).split()[0]](event, ctx)
