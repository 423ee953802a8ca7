"""What is refused at registration, so that it is never an event's fault."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from app.handlers import Context, Event, on_answer, on_event, on_message, on_start, on_status, options
from app.handlers import registration as handlers
from app.handlers.options import HandlerError
from app.handlers.registration import Registry, load_handlers


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The process's registry, with nothing in it."""
    monkeypatch.setattr(handlers.registry, "handlers", {})
    return handlers.registry


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The fields of each warning."""
    logged: list[dict[str, Any]] = []
    monkeypatch.setattr(options.log, "warning", lambda _, **fields: logged.append(fields))
    return logged


def handle(event: Event, ctx: Context) -> None: ...


def generator(event: Event, ctx: Context) -> Iterator[None]:
    yield


async def async_generator(event: Event, ctx: Context) -> AsyncIterator[None]:
    yield


class Callable:
    def __call__(self, *_: object) -> None: ...


@pytest.mark.parametrize("function", [generator, async_generator])
def test_a_generator_is_refused(function: Any) -> None:
    with pytest.raises(HandlerError, match="is a generator, whose code would not run"):
        on_message("text")(function)


@pytest.mark.parametrize(
    "function", [lambda: None, lambda _: None, lambda _event, _ctx, _more: None, lambda *, _event, _ctx: None]
)
def test_what_does_not_take_an_event_and_a_context_is_refused(function: Any) -> None:
    with pytest.raises(HandlerError, match="must take two arguments"):
        on_message("text")(function)


@pytest.mark.parametrize("function", [partial(handle), Callable(), Callable])
def test_what_is_no_function_is_refused(function: Any) -> None:
    with pytest.raises(HandlerError, match="register a function"):
        on_message("text")(function)


def test_an_async_function_is_registered(registry: Registry) -> None:
    async def answer(event: Event, ctx: Context) -> None: ...

    assert on_message("text")(answer) is answer
    assert registry.find("message", "text") is not None


@pytest.mark.parametrize("decorator", [on_message, on_status, on_event])
def test_a_decorator_without_its_parentheses_is_refused(decorator: Any) -> None:
    with pytest.raises(HandlerError, match="takes types as text"):
        decorator(handle)


@pytest.mark.parametrize("type_", [("text", "image"), None, 5, ""])
def test_a_type_that_is_no_text_is_refused(type_: Any) -> None:
    with pytest.raises(HandlerError, match="takes types as text"):
        on_message(type_)


def test_an_option_that_does_not_exist_is_refused() -> None:
    with pytest.raises(TypeError, match="max_attemps"):
        on_message("text", max_attemps=3)


@pytest.mark.parametrize(
    "given",
    [
        {"max_attempts": 0},
        {"max_attempts": 1001},
        {"max_attempts": True},
        {"max_attempts": 2.5},
        {"base_seconds": 0},
        {"cap_seconds": float("nan")},
        {"base_seconds": "2"},
        {"time_limit_seconds": 0},
        {"time_limit_seconds": -1},
        {"time_limit_seconds": "5"},
        {"formerly": "bot.note"},
        {"on_failure": "wait"},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises((HandlerError, ValueError), match=next(iter(given))):
        on_message("text", **given)


@pytest.mark.parametrize(
    ("register", "type_", "similar"),
    [(on_message, "txt", ["text"]), (on_status, "delivred", ["delivered"]), (on_message, "zzz", [])],
)
def test_a_type_that_meta_does_not_document_is_warned_of(
    register: Any, type_: str, similar: list[str], warnings: list[dict[str, Any]]
) -> None:
    register(type_)(handle)
    load_handlers([], 60)
    (warning,) = warnings
    assert (warning["type"], warning["similar"]) == (type_, similar)


def test_types_that_meta_documents_are_not_warned_of(warnings: list[dict[str, Any]]) -> None:
    on_message("text", "image")(handle)
    on_status("failed", of="payment")(handle)
    on_message()(handle)
    on_event("account_update")(handle)
    load_handlers([], 60)
    assert warnings == []


def test_a_registry_without_handlers_is_refused_where_it_is_asked(registry: Registry) -> None:
    with pytest.raises(HandlerError, match="set HANDLERS"):
        registry.refuse_if_empty()
    on_message()(handle)
    registry.refuse_if_empty()


def test_a_start_hook_takes_no_arguments() -> None:
    with pytest.raises(HandlerError, match="takes no arguments"):
        on_start(handle)  # type: ignore[type-var]


@pytest.mark.parametrize("name", ["", "CRM", "c r m", "1st", "x" * 41, None, 7])
def test_what_is_no_name_of_a_lane_is_refused(name: Any) -> None:
    with pytest.raises(HandlerError, match="lane must be a name"):
        on_message("text", lane=name)(handle)


@pytest.mark.parametrize("age", [0, -1, "1 day", float("inf"), timedelta(0)])
def test_what_is_no_age_is_refused(age: Any) -> None:
    with pytest.raises(HandlerError, match="max_age must be a positive number of seconds"):
        on_message("text", max_age=age)(handle)


def test_an_age_may_be_a_timedelta(registry: Registry) -> None:
    on_message("text", max_age=timedelta(days=1))(handle)
    (handler,) = registry.handlers.values()
    assert handler.max_age_seconds == 86_400


def test_messages_are_joined_for_eight_seconds_at_most(registry: Registry) -> None:
    on_message("text", join=timedelta(seconds=2))(handle)
    (handler,) = registry.handlers.values()
    assert handler.join_seconds == 2
    with pytest.raises(HandlerError, match="join must be 8 seconds at most, not 9"):
        on_message("image", join=9)(handle)
    with pytest.raises(HandlerError, match="join must be a positive number of seconds"):
        on_message("image", join=0)(handle)


@pytest.mark.parametrize("decorator", [on_status, on_event, on_answer])
def test_only_messages_are_joined(decorator: Any) -> None:
    with pytest.raises(HandlerError, match="join is for @on_message"):
        decorator("x", join=2)(handle)
