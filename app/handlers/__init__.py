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
from app.handlers.registration import (
    Handler,
    Registry,
    load_handlers,
    on_event,
    on_message,
    on_status,
    registry,
)
from app.handlers.retry import RetryDecision, decide

# What a team's code uses, then what runs it
__all__ = [
    "Context",
    "Event",
    "Handler",
    "Permanent",
    "Registry",
    "RetryAfter",
    "RetryDecision",
    "decide",
    "load_handlers",
    "on_event",
    "on_message",
    "on_status",
    "registry",
]  # fmt: skip
