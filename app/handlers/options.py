"""Checks what a handler is registered with, so that a mistake ends the start and not an event."""

import inspect
import math
import re
from collections.abc import Callable
from datetime import timedelta
from difflib import get_close_matches
from typing import Any

from app.errors import NeverdropError
from app.handlers.known_types import KNOWN_TYPES
from app.stores import Priority
from config.logging import get_logger

MAIN_LANE = "main"  # of handlers that name no lane
TARGET_LANE = "target:"  # how the names of targets' lanes begin; no handler's has a colon
LANE_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
MAX_JOIN_SECONDS = 8.0  # that the first message of a burst waits for further ones
SIMILAR = 0.6  # of a type's letters

log = get_logger(__name__)


class HandlerError(NeverdropError):
    """HANDLERS or a registration does not add up."""


def name_of(function: Callable[..., Any]) -> str:
    """Return module.function, as logs and dead letters show it; HandlerError for what has no name."""
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise HandlerError(f"{function!r} has no name to be shown by: register a function")
    return f"{function.__module__}.{name}"


def check_function(function: Callable[..., Any]) -> None:
    """Raise HandlerError for what cannot be called with an event and a context, or would not run when it is."""
    name = name_of(function)
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    if inspect.isclass(function):
        raise HandlerError(f"{name} is a class: register a function")
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise HandlerError(f"{name} is a generator, whose code would not run: take the yield out of it")
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError) as error:
        raise HandlerError(f"{name} must take two arguments, event and ctx: {error}") from error


def check_types(decorator: str, types: tuple[Any, ...]) -> None:
    """Raise HandlerError for types that are no text; the decorator without its parentheses is one of them."""
    for type_ in types:
        if not isinstance(type_, str) or not type_:
            raise HandlerError(
                f"@{decorator} takes types as text, or @{decorator}() stands for all; not {type_!r}"
            )


def check_names(option: str, names: Any) -> None:
    """Raise HandlerError for what is no list or tuple of text; a single text would count by its letters."""
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise HandlerError(f"{option} must be a tuple of names, not {names!r}")


def check_seconds(option: str, seconds: Any) -> None:
    """Raise HandlerError for what is no positive number of seconds."""
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds <= 0:
        raise HandlerError(f"{option} must be a positive number of seconds, not {seconds!r}")


def check_lane(name: Any) -> None:
    """Raise HandlerError for what is no name of a lane."""
    if not isinstance(name, str) or not LANE_NAME.fullmatch(name):
        raise HandlerError(
            f"lane must be a name of a-z, 0-9, - and _, at most 40, that begins with a letter; not {name!r}"
        )


def check_priority(priority: Any) -> Priority | None:
    """Return a priority, None for that of the event's type; HandlerError for what is none."""
    if priority is None:
        return None
    try:
        return Priority(priority)
    except ValueError:
        raise HandlerError(f"priority must be one of {', '.join(Priority)}, not {priority!r}") from None


def priority_for(kind: str, type_: str) -> Priority:
    """Return how urgent events are whose handler does not say: calls before others, history after them."""
    if kind == "call_status" or (kind, type_) == ("other", "calls"):
        return Priority.URGENT
    return Priority.BULK if (kind, type_) == ("other", "history") else Priority.NORMAL


def check_age(option: str, age: Any) -> float | None:
    """Return an age in seconds, None for none; HandlerError for what is no positive time."""
    if age is None:
        return None
    seconds = age.total_seconds() if isinstance(age, timedelta) else age
    check_seconds(option, seconds)
    return float(seconds)


def check_join(decorator: str, join: Any) -> float | None:
    """Return for how many seconds messages are joined, None for not at all; HandlerError for what cannot be."""
    if join is None:
        return None
    if decorator != "on_message":
        raise HandlerError(f"join is for @on_message: what @{decorator} takes comes one by one")
    seconds = check_age("join", join)
    if seconds is None or seconds > MAX_JOIN_SECONDS:
        raise HandlerError(f"join must be {MAX_JOIN_SECONDS:g} seconds at most, not {seconds}")
    return seconds


def check_flag(option: str, flag: Any) -> None:
    """Raise HandlerError for what is neither True nor False."""
    if not isinstance(flag, bool):
        raise HandlerError(f"{option} must be True or False, not {flag!r}")


def warn_of_unknown_type(kind: str, type_: str | None, handler: str) -> None:
    """Log a type that Meta does not document: its handler may never run. It is registered all the same."""
    known = KNOWN_TYPES.get(kind, frozenset())
    if type_ is None or type_ in known or not known:
        return
    similar = get_close_matches(type_, known, 1, SIMILAR)
    log.warning("handler.unknown_type", handler=handler, kind=kind, type=type_, similar=similar)
