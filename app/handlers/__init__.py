"""The team's own code: how it is registered, and what it is given. Begin with ``docs/handlers.md``.

Promises: what a handler writes through ``ctx.session`` is committed once for each job that is done, together with
its being done; the jobs of a lane run in order.
Relies on: ``lanes``, which runs it, and on handlers that write through ``ctx``.
Cannot see: what a handler does elsewhere. A call to another service happens once for each *attempt*.
"""

from app.errors import Permanent, RetryAfter
from app.handlers import coroutines
from app.handlers.binding import scopes_of
from app.handlers.context import Context, Event
from app.handlers.dialog import ANSWER, TIMEOUT, Dialog, DialogChange, Expectation, InvalidDialog
from app.handlers.erasing import erase_hooks, on_erase
from app.handlers.handler_registry import UNEXPECTED, Handler, Registry, registry
from app.handlers.media import TYPES as MEDIA_TYPES
from app.handlers.media import Media
from app.handlers.media import of_item as media_of_item
from app.handlers.options import MAIN_LANE, MAX_JOIN_SECONDS, TARGET_LANE
from app.handlers.outlet import Outlet
from app.handlers.pausing import InvalidPause, WantedPause, hours
from app.handlers.registration import (
    load_handlers,
    on_answer,
    on_event,
    on_message,
    on_status,
    on_timeout,
)
from app.handlers.retry import RetryDecision, RetryPolicy, decide
from app.handlers.sending import reply_names
from app.handlers.start import on_start, start_hooks

# What a team's code uses, then what runs it
__all__ = [
    "ANSWER",
    "MAIN_LANE",
    "MAX_JOIN_SECONDS",
    "MEDIA_TYPES",
    "TARGET_LANE",
    "TIMEOUT",
    "UNEXPECTED",
    "Context",
    "Dialog",
    "DialogChange",
    "Event",
    "Expectation",
    "Handler",
    "InvalidDialog",
    "InvalidPause",
    "Media",
    "Outlet",
    "Permanent",
    "Registry",
    "RetryAfter",
    "RetryDecision",
    "RetryPolicy",
    "WantedPause",
    "coroutines",
    "decide",
    "erase_hooks",
    "hours",
    "load_handlers",
    "media_of_item",
    "on_answer",
    "on_erase",
    "on_event",
    "on_message",
    "on_start",
    "on_status",
    "on_timeout",
    "registry",
    "reply_names",
    "scopes_of",
    "start_hooks",
]  # fmt: skip
