"""The team's own code: how it is registered, and what it is given.

    from app.handlers import Context, Event, on_message

    @on_message("text")
    def answer(event: Event, ctx: Context) -> None:
        ctx.session.add(Note(text=event.text))

A handler runs once per event, in order per conversation. What it writes through ``ctx.session`` is committed
together with the event's being done, or not at all. Whatever it does elsewhere (a call to another service)
happens once per *attempt*: it may be repeated if the attempt fails after it.
"""

from app.errors import Permanent, RetryAfter
from app.handlers.context import Context, Event
from app.handlers.registry import on_event, on_message, on_status

__all__ = ["Context", "Event", "Permanent", "RetryAfter", "on_event", "on_message", "on_status"]
