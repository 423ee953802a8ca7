"""Registers handlers by decorators, and loads them from HANDLERS."""

import importlib
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Literal, TypeVar

from app.handlers.binding import scopes_of
from app.handlers.dialog import ANSWER, TIMEOUT
from app.handlers.failed_import import describe_failure
from app.handlers.handler_registry import Handler, HandlerFunction, OnFailure, Registry, registry
from app.handlers.options import (
    MAIN_LANE,
    HandlerError,
    check_age,
    check_flag,
    check_function,
    check_join,
    check_lane,
    check_names,
    check_priority,
    check_seconds,
    check_types,
    name_of,
    warn_of_unknown_type,
)
from app.handlers.retry import BASE_SECONDS, CAP_SECONDS, MAX_ATTEMPTS, RetryPolicy

F = TypeVar("F", bound=HandlerFunction)


def load_handlers(modules: Iterable[str], max_seconds: float) -> Registry:
    """Import the modules, which register their handlers; HandlerError says which one cannot be used."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever it is: Celery would log it, and start without any handler
            raise HandlerError(f"HANDLERS: cannot import {module}: {describe_failure(error)}") from error
    for (kind, type_, _), handler in registry.items():
        warn_of_unknown_type(kind, type_, handler.name)
        if (handler.time_limit_seconds or 0) > max_seconds:
            raise HandlerError(
                f"{handler.name}: time_limit_seconds={handler.time_limit_seconds} is above "
                f"HANDLER_TIME_LIMIT_SECONDS={max_seconds}; raise the setting for all processes"
            )
    return registry


def _decorator(kind: str, shown: str, answer_types: tuple[str, ...] = ()) -> Callable[..., Callable[[F], F]]:
    def on(
        *types: str,
        max_attempts: int = MAX_ATTEMPTS,
        base_seconds: float = BASE_SECONDS,
        cap_seconds: float = CAP_SECONDS,
        on_failure: OnFailure = "hold",
        time_limit_seconds: float | None = None,
        formerly: tuple[str, ...] = (),
        lane: str = MAIN_LANE,
        max_age: timedelta | float | None = None,
        join: timedelta | float | None = None,
        numbers: Sequence[str] = (),
        accounts: Sequence[str] = (),
        priority: Literal["urgent", "normal", "bulk"] | None = None,
        grouped: bool = False,
    ) -> Callable[[F], F]:
        check_types(shown, types)
        if on_failure not in ("hold", "skip"):
            raise HandlerError(f"on_failure must be 'hold' or 'skip', not {on_failure!r}")
        if time_limit_seconds is not None:
            check_seconds("time_limit_seconds", time_limit_seconds)
        check_names("formerly", formerly)
        check_lane(lane)
        max_age_seconds = check_age("max_age", max_age)
        join_seconds = check_join(shown, join)
        scopes = scopes_of(numbers, accounts)
        wanted_priority = check_priority(priority)
        check_flag("grouped", grouped)
        policy = RetryPolicy(max_attempts, base_seconds, cap_seconds)

        def register(function: F) -> F:
            check_function(function)
            handler = Handler(
                name_of(function),
                function,
                policy,
                on_failure,
                time_limit_seconds,
                tuple(formerly),
                lane,
                max_age_seconds,
                join_seconds,
                scopes,
                answer_types,
                wanted_priority,
                grouped,
            )
            for type_ in types or (None,):
                registry.add(kind, type_, handler)
            return function

        return register

    on.__doc__ = f"""Register a handler for events of kind {kind!r}: of the given types, or of all.

    max_attempts, base_seconds, cap_seconds: see ``app.handlers.retry.RetryPolicy``. on_failure: ``hold`` (the
    conversation waits for this event) or ``skip`` (it goes on meanwhile). time_limit_seconds: an attempt that
    takes longer is stopped and counts as failed. formerly: names (module.function) that it had in earlier
    releases, whose jobs still wait. lane: the name of the lanes that it runs in; each name has its own order, attempts
    and dead letters, and its failures never hold another's. max_age: seconds or a timedelta; what is older when its
    turn comes ends as stale, replays excepted. join: what one person sends within so many seconds of each other is
    handed to the handler together, as a list. priority: ``urgent`` (before others), ``normal`` or ``bulk`` (where
    nothing else waits); urgent and bulk jobs of a conversation have an order of their own. By default calls are
    urgent and history is bulk. numbers, accounts: only events of these numbers (phone_number_id) or accounts (the
    WABA's id). grouped: it shares a transaction with up to 15 others, of other lanes; what it locks is held until all
    have run. HandlerError for what cannot be run.
    """
    return on


on_message = _decorator("message", "on_message")


def on_status(*types: str, of: str = "message", **options: Any) -> Callable[[F], F]:
    """Register a handler for statuses: of sent messages, or ``of="payment"``, ``of="call"``.

    types: the states, as ``failed``; none stands for all. options: as of ``on_message``.
    """
    check_types("on_status", (*types, of))
    kind = "status" if of == "message" else f"{of}_status"
    return _decorator(kind, "on_status")(*types, **options)


on_event = _decorator("other", "on_event")


def on_answer(name: str, *types: str, **options: Any) -> Callable[[F], F]:
    """Register the handler of the message that ``ctx.expect(name)`` waits for.

    types: which messages are answers, by default all but reactions and what no user writes; others go to their own
    handlers, and the answer is waited for on. options: as of ``on_message``; the lane is that of ``ctx.expect``.
    """
    check_types("on_answer", (name, *types))
    return _decorator(ANSWER, "on_answer", types)(name, **options)


def on_timeout(name: str, **options: Any) -> Callable[[F], F]:
    """Register what runs when nothing has answered ``ctx.expect(name, timeout=...)`` in time.

    Its event is of the kind ``timeout`` and looks otherwise like the one whose handler asked. options: as of
    ``on_message``.
    """
    check_types("on_timeout", (name,))
    return _decorator(TIMEOUT, "on_timeout")(name, **options)
