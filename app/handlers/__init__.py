"""The team's own code: how it is registered, and what it is given. Begin with ``docs/handlers.md``.

Promises: what a handler writes through ``ctx.session`` is committed once for each event that is done, together with
its being done; the events of a conversation are handled in order.
Relies on: ``lanes``, which runs it, and on handlers that write through ``ctx``.
Cannot see: what a handler does elsewhere. A call to another service happens once for each *attempt*.
"""

from app.errors import Permanent, RetryAfter
from app.handlers.context import Context, Event
from app.handlers.media import Media
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
from app.handlers.start import on_start, start_hooks

# What a team's code uses, then what runs it
__all__ = [
    "Context",
    "Event",
    "Handler",
    "Media",
    "Permanent",
    "Registry",
    "RetryAfter",
    "RetryDecision",
    "decide",
    "load_handlers",
    "on_event",
    "on_message",
    "on_start",
    "on_status",
    "registry",
    "start_hooks",
]  # fmt: skip
