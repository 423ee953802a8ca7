"""Handlers, and which of them runs which event."""

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from app.handlers import coroutines
from app.handlers.binding import NOWHERE, Origin, Scope, overlap
from app.handlers.context import Context, Event
from app.handlers.dialog import ANSWER, TIMEOUT
from app.handlers.options import MAIN_LANE, HandlerError, priority_for
from app.handlers.retry import RetryPolicy
from app.stores import Priority

HandlerFunction = (
    Callable[[Event, Context], None]
    | Callable[[Event, Context], Awaitable[None]]
    | Callable[[list[Event], Context], None]  # of a handler that joins
    | Callable[[list[Event], Context], Awaitable[None]]
)
OnFailure = Literal["hold", "skip"]

# Messages that a user does not answer a question with, unless ``on_answer`` names them
NO_ANSWERS = {"reaction", "system", "unsupported"}
# The handler of a message that only an answer's may run: it ends as unhandled if it is none when its turn comes
UNEXPECTED = "app.handlers.unexpected"


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
    join_seconds: float | None = None  # it takes what comes within so long together, as one list
    scopes: tuple[Scope, ...] = ()  # numbers and accounts that it is for; none stands for all
    # Of ``on_answer``: messages that are answers; none stands for all ordinary ones
    answer_types: tuple[str, ...] = ()
    priority: Priority | None = None  # None: that of the event's type
    grouped: bool = (
        False  # it may share a transaction with handlers of other lanes, behind a savepoint of its own
    )
    join_types: tuple[str, ...] = ()  # of messages that it joins; none stands for all that it takes

    def answers_to(self, name: str) -> bool:
        """Whether jobs that were stored for this name are its own."""
        return name == self.name or name in self.formerly

    def takes_answer(self, type_: str) -> bool:
        """Whether a message of this type may be the answer that it waits for."""
        return type_ in self.answer_types if self.answer_types else type_ not in NO_ANSWERS

    def priority_for(self, kind: str, type_: str) -> Priority:
        """Return how urgent its job for such an event is."""
        return self.priority or priority_for(kind, type_)

    def lane_name_for(self, kind: str, type_: str) -> str:
        """Return the name of the lanes that its jobs for such events run in: urgent and bulk ones have their own."""
        priority = self.priority_for(kind, type_)
        return self.lane if priority is Priority.NORMAL else f"{self.lane}/{priority}"

    def join_seconds_for(self, kind: str, type_: str) -> float | None:
        """Return for how long its job for such an event waits for further ones; None if it does not."""
        is_joined = not self.join_types or (kind == "message" and type_ in self.join_types)
        return self.join_seconds if is_joined else None

    def call(self, event: Event | Sequence[Event], ctx: Context) -> None:
        """Run the function to its end, with its event, or with the list of a burst where it joins.

        HandlerError if it answers with code that has not run.
        """
        function: Callable[..., Any] = self.function
        events = [event] if isinstance(event, Event) else list(event)
        answer: Any = function(events[0] if self.join_seconds is None else events, ctx)
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
    """Handlers by (kind, type, lane name); type None stands for all of the kind that have none of their own there.

    ``bound``: those of some numbers or accounts, once for each.
    """

    handlers: dict[Selector, Handler] = field(default_factory=dict)
    bound: dict[tuple[Selector, Scope], Handler] = field(default_factory=dict)

    def add(self, kind: str, type_: str | None, handler: Handler) -> None:
        """Register a handler; HandlerError if there is one for the same events under the same lane name."""
        selector = (kind, type_, handler.lane)
        for other in (each for registered, each in self.items() if registered == selector):
            if (both := overlap(handler.scopes, other.scopes)) is not None:
                events = f"{kind} {type_!r}" if type_ else f"every {kind}"
                raise HandlerError(
                    f"two handlers for {events} in lane {handler.lane!r}: {other.name} and {handler.name}, both for"
                    f' {both}; keep one of them, give one another lane="...", or each numbers=[...] of its own'
                )
        if not handler.scopes:
            self.handlers[selector] = handler
        for scope in handler.scopes:
            self.bound[selector, scope] = handler

    def items(self) -> Iterator[tuple[Selector, Handler]]:
        """Return every handler with what it is registered for."""
        yield from self.handlers.items()
        yield from ((selector, handler) for (selector, _), handler in self.bound.items())

    def _get(self, selector: Selector, origin: Origin) -> Handler | None:
        for scope in origin.scopes if self.bound else ():
            if (handler := self.bound.get((selector, scope))) is not None:
                return handler
        return self.handlers.get(selector)

    @property
    def lane_names(self) -> list[str]:
        """Return the names of lanes that handlers have, ``main`` first."""
        names = {handler.lane for _, handler in self.items()}
        return sorted(names, key=lambda name: (name != MAIN_LANE, name))

    def refuse_if_empty(self) -> None:
        """Raise HandlerError if there is no handler: every event would be finished without any code."""
        if not (self.handlers or self.bound):
            raise HandlerError(
                "there is no handler, so every event would end as unhandled: set HANDLERS to the modules that register"
                " them, or ALLOW_NO_HANDLERS=true if events are only to be stored"
            )

    def find(self, kind: str, type_: str, lane: str = MAIN_LANE, origin: Origin = NOWHERE) -> Handler | None:
        """Return the handler of the very type under the lane name, else that of the kind, else None."""
        return self._get((kind, type_, lane), origin) or self._get((kind, None, lane), origin)

    def find_all(self, kind: str, type_: str, origin: Origin = NOWHERE) -> list[Handler]:
        """Return every handler of an event: one for each lane name that has one, ``main`` first."""
        found = (self.find(kind, type_, lane, origin) for lane in self.lane_names)
        return [handler for handler in found if handler is not None]

    def origin_of(self, payload: str) -> Origin:
        """Return where an event came in, if any handler here asks for that."""
        return Origin.of(payload) if self.bound else NOWHERE

    def find_for(self, kind: str, type_: str, name: str, lane: str = MAIN_LANE) -> Handler | None:
        """Return the handler of a job that was stored for the handler ``name``; None if none here answers to it.

        Another release may know the name: a job is never run by a handler that merely is there for its type.
        """
        handler = self.find(kind, type_, lane.partition("/")[0])
        if handler is not None and handler.answers_to(name):
            return handler
        return UNEXPECTED_HANDLER if name == UNEXPECTED else self.named(name)

    def named(self, name: str) -> Handler | None:
        """Return the handler that answers to a name; None if none here does."""
        return next((each for _, each in self.items() if each.answers_to(name)), None)

    def lanes_that_may_expect(self, kind: str, type_: str, origin: Origin = NOWHERE) -> list[str]:
        """Return the lane names in which only the handler of an answer might run such an event."""
        if kind != "message":
            return []
        lanes = {
            handler.lane
            for (of_kind, _, _), handler in self.items()
            if of_kind == ANSWER and handler.takes_answer(type_)
        }
        return sorted(lane for lane in lanes if self.find(kind, type_, lane, origin) is None)

    def expectation(self, name: str, lane: str, origin: Origin = NOWHERE) -> tuple[str, str | None]:
        """Return the names of the handlers of an answer and of its timeout; HandlerError without the first."""
        answer, timeout = (self._get((kind, name, lane), origin) for kind in (ANSWER, TIMEOUT))
        if answer is None:
            raise HandlerError(
                f'expect("{name}") in lane {lane!r} has no handler: register @on_answer("{name}") in this lane'
            )
        return answer.name, timeout.name if timeout else None


def _unexpected(_event: Event, _ctx: Context) -> None:
    raise HandlerError("a message that only an answer's handler may run")


UNEXPECTED_HANDLER = Handler(UNEXPECTED, _unexpected, RetryPolicy(), "hold", None)
registry = Registry()


def _refuse_code(answer: Any, name: str) -> None:
    """Raise HandlerError if a handler returned code that has not run: a coroutine, another awaitable, a generator."""
    if inspect.iscoroutine(answer):
        answer.close()  # or Python would warn, somewhere else, that nobody awaited it
    if isinstance(answer, Awaitable | Generator) or inspect.isasyncgen(answer):
        raise HandlerError(
            f"{name} returned a {type(answer).__name__}, whose code has not run: declare it with async def,"
            " and await what it calls"
        )
