"""How the team's code is registered and loaded."""

from pathlib import Path

import pytest

from app.errors import NeverdropError
from app.handlers import on_event, on_message, on_status
from app.handlers import registration as handlers
from app.handlers.registration import HandlerError, Registry, load_handlers

MAX_SECONDS = 60.0


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The process's registry, with nothing in it."""
    monkeypatch.setattr(handlers.registry, "handlers", {})
    return handlers.registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def handle(*_: object) -> None:
    pass


def test_a_handler_of_the_very_type_comes_before_that_of_all(registry: Registry) -> None:
    on_message(max_attempts=1)(handle)
    on_message("text", "image", max_attempts=2)(handle)
    found = {type_: registry.find("message", type_) for type_ in ("text", "image", "audio")}
    attempts = {type_: handler.policy.max_attempts for type_, handler in found.items() if handler}
    assert attempts == {"text": 2, "image": 2, "audio": 1}


def test_a_handler_is_for_its_kind_only(registry: Registry) -> None:
    on_status("failed")(handle)
    on_event("account_update")(handle)
    assert registry.find("message", "failed") is None
    assert registry.find("status", "failed") is not None
    assert registry.find("other", "account_update") is not None


def test_a_handler_is_shown_by_module_and_name(registry: Registry) -> None:
    on_message("text")(handle)
    found = registry.find("message", "text")
    assert found is not None
    assert found.name == f"{__name__}.handle"


def test_a_decorated_function_stays_what_it_was(registry: Registry) -> None:
    assert on_message("text")(handle) is handle


@pytest.mark.parametrize("types", [("text",), ()])
def test_two_handlers_for_the_same_events_are_refused(registry: Registry, types: tuple[str, ...]) -> None:
    on_message(*types)(handle)
    with pytest.raises(HandlerError, match=r"two handlers for .*; keep one of them"):
        on_message(*types)(handle)


def test_an_unknown_order_on_failure_is_refused(registry: Registry) -> None:
    with pytest.raises(HandlerError, match="on_failure must be 'hold' or 'skip'"):
        on_message("text", on_failure="wait")


def test_a_policy_that_makes_no_sense_is_refused(registry: Registry) -> None:
    with pytest.raises(ValueError, match="max_attempts"):
        on_message("text", max_attempts=0)


def test_modules_register_their_handlers_when_they_are_loaded(registry: Registry, package: Path) -> None:
    (package / "shop_handlers.py").write_text(
        "from app.handlers import on_message\n@on_message('text')\ndef answer(event, ctx): ...\n"
    )
    load_handlers(["shop_handlers"], MAX_SECONDS)
    found = registry.find("message", "text")
    assert found is not None
    assert found.name == "shop_handlers.answer"
    load_handlers(["shop_handlers"], MAX_SECONDS)


def test_a_module_that_does_not_exist_is_named(registry: Registry) -> None:
    with pytest.raises(HandlerError, match="HANDLERS: cannot import no_such_module"):
        load_handlers(["no_such_module"], MAX_SECONDS)


@pytest.mark.parametrize("source", ["1 / 0", "def (", "import os; os.environ['NOT_SET_ANYWHERE']"])
def test_a_module_that_fails_while_it_is_imported_is_named(
    registry: Registry, package: Path, source: str
) -> None:
    """Celery would log any other exception and start the worker with no handlers: all events unhandled."""
    (package / "broken_handlers.py").write_text(source)
    with pytest.raises(NeverdropError, match="HANDLERS: cannot import broken_handlers"):
        load_handlers(["broken_handlers"], MAX_SECONDS)


def test_a_time_limit_above_that_of_all_processes_is_refused(registry: Registry) -> None:
    on_message("text", time_limit_seconds=MAX_SECONDS + 1)(handle)
    with pytest.raises(HandlerError, match="above HANDLER_TIME_LIMIT_SECONDS"):
        load_handlers([], MAX_SECONDS)


def test_handlers_of_two_lane_names_are_both_found_and_main_comes_first(registry: Registry) -> None:
    on_message("text", lane="archive")(handle)
    on_message(max_attempts=1)(handle)
    assert [handler.lane for handler in registry.find_all("message", "text")] == ["main", "archive"]
    assert [handler.lane for handler in registry.find_all("message", "image")] == ["main"]


def test_two_handlers_of_one_lane_name_for_one_type_are_refused(registry: Registry) -> None:
    on_message("text", lane="crm")(handle)
    with pytest.raises(HandlerError, match="two handlers for message 'text' in lane 'crm'"):
        on_message("text", lane="crm")(handle)
