"""Which handler runs which event: registered by decorators, loaded from HANDLERS."""

import importlib
import inspect
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

from app.handlers import coroutines
from app.handlers.context import Context, Event
from app.handlers.options import (
    MAIN_LANE,
    HandlerError,
    check_age,
    check_function,
    check_lane,
    check_names,
    check_seconds,
    check_types,
    name_of,
    warn_of_unknown_type,
)
from app.handlers.retry import BASE_SECONDS, CAP_SECONDS, MAX_ATTEMPTS, RetryPolicy

HandlerFunction = Callable[[Event, Context], None] | Callable[[Event, Context], Awaitable[None]]
F = TypeVar("F", bound=HandlerFunction)
OnFailure = Literal["hold", "skip"]


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function and how to run it."""

    name: str  # module.function, as logs and dead letters show it
    function: HandlerFunction
    policy: RetryPolicy
    on_failure: OnFailure  # hold: the lane waits for a failing event; skip: the lane goes on meanwhile
    time_limit_seconds: float | None  # None: the setting HANDLER_TIME_LIMIT_SECONDS
    formerly: tuple[str, ...] = ()  # names under which jobs were stored that it runs too
    lane: str = MAIN_LANE  # the name of the lanes that its jobs run in
    max_age_seconds: float | None = None  # a job whose event is older ends as stale before it is begun

    def answers_to(self, name: str) -> bool:
        """Whether jobs that were stored for this name are its own."""
        return name == self.name or name in self.formerly

    def call(self, event: Event, ctx: Context) -> None:
        """Run the function to its end; HandlerError if it answers with code that has not run."""
        answer: Any = self.function(event, ctx)
        if answer is None:
            return
        if inspect.iscoroutine(answer) and self._is_async:
            coroutines.run(answer)
            return
        _refuse_code(answer, self.name)

    @property
    def _is_async(self) -> bool:
        function = self.function
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004  (of an object that can be called)
        )


Selector = tuple[str, str | None, str]  # kind, type, lane name


@dataclass(slots=True)
class Registry:
    """Handlers by (kind, type, lane name); type None stands for all of the kind that have none of their own there."""

    handlers: dict[Selector, Handler] = field(default_factory=dict)

    def add(self, kind: str, type_: str | None, handler: Handler) -> None:
        """Register a handler; HandlerError if there is one for the same events under the same lane name."""
        other = self.handlers.get((kind, type_, handler.lane))
        if other is not None:
            events = f"{kind} {type_!r}" if type_ else f"every {kind}"
            raise HandlerError(
                f"two handlers for {events} in lane {handler.lane!r}: {other.name} and {handler.name};"
                ' keep one of them, or give one another lane="..."'
            )
        self.handlers[kind, type_, handler.lane] = handler

    @property
    def lane_names(self) -> list[str]:
        """Return the names of lanes that handlers have, ``main`` first."""
        names = {handler.lane for handler in self.handlers.values()}
        return sorted(names, key=lambda name: (name != MAIN_LANE, name))

    def refuse_if_empty(self) -> None:
        """Raise HandlerError if there is no handler: every event would be finished without any code."""
        if not self.handlers:
            raise HandlerError(
                "there is no handler, so every event would end as unhandled: set HANDLERS to the modules that register"
                " them, or ALLOW_NO_HANDLERS=true if events are only to be stored"
            )

    def find(self, kind: str, type_: str, lane: str = MAIN_LANE) -> Handler | None:
        """Return the handler of the very type under the lane name, else that of the kind, else None."""
        return self.handlers.get((kind, type_, lane)) or self.handlers.get((kind, None, lane))

    def find_all(self, kind: str, type_: str) -> list[Handler]:
        """Return every handler of an event: one for each lane name that has one, ``main`` first."""
        found = (self.find(kind, type_, lane) for lane in self.lane_names)
        return [handler for handler in found if handler is not None]

    def find_for(self, kind: str, type_: str, name: str, lane: str = MAIN_LANE) -> Handler | None:
        """Return the handler of a job that was stored for the handler ``name``; None if none here answers to it.

        Another release may know the name: a job is never run by a handler that merely is there for its type.
        """
        handler = self.find(kind, type_, lane)
        if handler is not None and handler.answers_to(name):
            return handler
        return next((each for each in self.handlers.values() if each.answers_to(name)), None)


registry = Registry()


def load_handlers(modules: Iterable[str], max_seconds: float) -> Registry:
    """Import the modules, which register their handlers; HandlerError says which one cannot be used."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever it is: Celery would log it, and start without any handler
            raise HandlerError(
                f"HANDLERS: cannot import {module}: {type(error).__name__}: {error}"
            ) from error
    for (kind, type_, _), handler in registry.handlers.items():
        warn_of_unknown_type(kind, type_, handler.name)
        if (handler.time_limit_seconds or 0) > max_seconds:
            raise HandlerError(
                f"{handler.name}: time_limit_seconds={handler.time_limit_seconds} is above "
                f"HANDLER_TIME_LIMIT_SECONDS={max_seconds}; raise the setting for all processes"
            )
    return registry


def _refuse_code(answer: Any, name: str) -> None:
    """Raise HandlerError if a handler returned code that has not run: a coroutine, another awaitable, a generator."""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python would warn, somewhere else, that nobody awaited it
    if isinstance(answer, Awaitable | Generator) or inspect.isasyncgen(answer):
        raise HandlerError(
            f"{name} returned a {type(answer).__name__}, whose code has not run: declare it with async def,"
            " and await what it calls"
        )


def _decorator(kind: str, shown: str) -> Callable[..., Callable[[F], F]]:
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
    ) -> Callable[[F], F]:
        check_types(shown, types)
        if on_failure not in ("hold", "skip"):
            raise HandlerError(f"on_failure must be 'hold' or 'skip', not {on_failure!r}")
        if time_limit_seconds is not None:
            check_seconds("time_limit_seconds", time_limit_seconds)
        check_names("formerly", formerly)
        check_lane(lane)
        max_age_seconds = check_age("max_age", max_age)
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
    turn comes ends as stale, replays excepted. HandlerError for what cannot be run.
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
