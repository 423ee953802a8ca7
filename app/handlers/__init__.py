"""The team's own code: how it is registered, and what it is given. Begin with ``docs/handlers.md``.

Promises: what a handler writes through ``ctx.session`` is committed once for each job that is done, together with
its being done; the jobs of a lane run in order.
Relies on: ``lanes``, which runs it, and on handlers that write through ``ctx``.
Cannot see: what a handler does elsewhere. A call to another service happens once for each *attempt*.
"""

from app.errors import Permanent, RetryAfter
from app.handlers.context import Context, Event
from app.handlers.media import Media
from app.handlers.options import MAIN_LANE
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
    "MAIN_LANE",
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
