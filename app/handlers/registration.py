"""Which handler runs which event: registered by decorators, loaded from HANDLERS."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from app.errors import NeverdropError
from app.handlers.context import Context, Event
from app.handlers.retry import BASE_SECONDS, CAP_SECONDS, MAX_ATTEMPTS, RetryPolicy

HandlerFunction = Callable[[Event, Context], None]
F = TypeVar("F", bound=HandlerFunction)
OnFailure = Literal["hold", "skip"]


class HandlerError(NeverdropError):
    """HANDLERS or a registration does not add up."""


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function and how to run it."""

    name: str  # module.function, as logs and dead letters show it
    function: HandlerFunction
    policy: RetryPolicy
    on_failure: OnFailure  # hold: the lane waits for a failing event; skip: the lane goes on meanwhile
    time_limit_seconds: float | None  # None: the setting HANDLER_TIME_LIMIT_SECONDS


@dataclass(slots=True)
class Registry:
    """Handlers by (kind, type); type None stands for all of the kind that have none of their own."""

    handlers: dict[tuple[str, str | None], Handler] = field(default_factory=dict)

    def add(self, kind: str, type_: str | None, handler: Handler) -> None:
        known = self.handlers.get((kind, type_))
        if known is not None:
            wanted = f"{kind} {type_!r}" if type_ else f"every {kind}"
            raise HandlerError(
                f"two handlers for {wanted}: {known.name} and {handler.name}; keep one of them"
            )
        self.handlers[kind, type_] = handler

    def find(self, kind: str, type_: str) -> Handler | None:
        """The handler of the very type, else that of the kind, else None."""
        return self.handlers.get((kind, type_)) or self.handlers.get((kind, None))


registry = Registry()


def load_handlers(modules: Iterable[str], longest_seconds: float) -> Registry:
    """Import the modules, which register their handlers; HandlerError says which one cannot be used."""
    for module in modules:
        try:
            importlib.import_module(module)
        except Exception as error:  # whatever it is: Celery would log it, and start without any handler
            raise HandlerError(
                f"HANDLERS: cannot import {module}: {type(error).__name__}: {error}"
            ) from error
    for handler in registry.handlers.values():
        if (handler.time_limit_seconds or 0) > longest_seconds:
            raise HandlerError(
                f"{handler.name}: time_limit_seconds={handler.time_limit_seconds} is above "
                f"HANDLER_TIME_LIMIT_SECONDS={longest_seconds}; raise the setting for all processes"
            )
    return registry


def _decorator(kind: str) -> Callable[..., Callable[[F], F]]:
    def on(
        *types: str,
        max_attempts: int = MAX_ATTEMPTS,
        base_seconds: float = BASE_SECONDS,
        cap_seconds: float = CAP_SECONDS,
        on_failure: OnFailure = "hold",
        time_limit_seconds: float | None = None,
    ) -> Callable[[F], F]:
        if on_failure not in ("hold", "skip"):
            raise HandlerError(f"on_failure must be 'hold' or 'skip', not {on_failure!r}")
        policy = RetryPolicy(max_attempts, base_seconds, cap_seconds)

        def register(function: F) -> F:
            name = f"{function.__module__}.{function.__qualname__}"
            handler = Handler(name, function, policy, on_failure, time_limit_seconds)
            for type_ in types or (None,):
                registry.add(kind, type_, handler)
            return function

        return register

    on.__doc__ = f"""Register a handler for events of kind {kind!r}: of the given types, or of all.

    max_attempts, base_seconds, cap_seconds: see ``app.handlers.retry.RetryPolicy``. on_failure: ``hold`` (the
    conversation waits for this event) or ``skip`` (it goes on meanwhile). time_limit_seconds: an attempt that
    takes longer is stopped and counts as failed.
    """
    return on


on_message = _decorator("message")


def on_status(*types: str, of: str = "message", **options: Any) -> Callable[[F], F]:
    """Register a handler for statuses: of sent messages, or ``of="payment"``, ``of="call"``.

    types: the states, as ``failed``; none stands for all. options: as of ``on_message``.
    """
    kind = "status" if of == "message" else f"{of}_status"
    return _decorator(kind)(*types, **options)


on_event = _decorator("other")
