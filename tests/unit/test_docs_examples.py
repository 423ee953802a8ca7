"""The code that the docs show runs as it stands."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from app.handlers import Event, on_event
from app.handlers.registration import registry
from config.settings import DEVELOPMENT_APP_SECRET, Settings
from tests.unit.pages import PAGES, blocks

NOW = datetime.now(UTC)


def test_the_signed_post_of_the_docs_is_signed_with_the_development_secret() -> None:
    (block,) = [block for block in blocks(PAGES["quickstart"], "sh") if "openssl dgst" in block]
    assert f"-hmac {DEVELOPMENT_APP_SECRET} " in block
    assert f":{Settings.model_fields['port'].default}/webhook" in block


def test_the_handler_of_the_docs_runs_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "handlers", {})
    bot, several, of_numbers, *priorities, start_hook, erasing, _test = blocks(PAGES["handlers"], "python")
    for block in (start_hook, erasing):
        compile(block, "docs/handlers.md", "exec")
    names: dict[str, Any] = {"__name__": "mybot"}
    exec(bot, names)
    assert {handler.name for handler in registry.handlers.values()} == {"mybot.note", "mybot.note_failure"}
    registry.handlers.clear()
    exec(several, {"__name__": "mybot", "on_message": names["on_message"]})
    assert registry.lane_names == ["main", "crm"]
    registry.handlers.clear()
    monkeypatch.setattr(registry, "bound", {})
    exec(of_numbers, {"__name__": "mybot", "on_message": names["on_message"]})
    assert {handler.name for _, handler in registry.items()} == {"mybot.shop", "mybot.bank"}
    for block, wanted in zip(
        priorities, (["ring", "take_the_order", "import_history"], ["note"]), strict=True
    ):
        monkeypatch.setattr(registry, "handlers", {})
        monkeypatch.setattr(registry, "bound", {})
        exec(block, {"__name__": "mybot", "on_message": names["on_message"], "on_event": on_event})
        assert {handler.name for _, handler in registry.items()} == {f"mybot.{name}" for name in wanted}


def test_the_two_handlers_of_the_readme_run_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "handlers", {})
    (block,) = blocks(PAGES["README"], "python")
    names: dict[str, Any] = {"__name__": "mybot"}
    exec(block, names)
    assert registry.lane_names == ["main", "crm"]
    event = Event(
        7, "message:wamid.X", "message", "text", None, NOW, NOW, False,
        '{"item": {"from": "1", "text": {"body": "tea"}}}',
    )  # fmt: skip
    said: list[Any] = []
    names["answer"](event, SimpleNamespace(attempt=1, reply=lambda *text, **more: said.append((text, more))))
    assert said == [(("Noted: tea",), {"buttons": ["Undo"]})]
    crm = httpx.MockTransport(lambda request: said.append(json.loads(request.content)) or httpx.Response(200))
    monkeypatch.setattr(names["httpx"], "post", httpx.Client(transport=crm).post)
    names["tell_the_crm"](event, SimpleNamespace())
    assert said[1] == {"event": 7, "from": "1", "text": "tea"}


def test_the_handlers_of_the_page_of_conversations_can_be_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in blocks(PAGES["conversations"], "python"):
        monkeypatch.setattr(registry, "handlers", {})
        exec(block, {"__name__": "mybot"})
        assert registry.handlers


def test_the_handler_of_the_quickstart_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "handlers", {})
    (block,) = [block for block in blocks(PAGES["quickstart"], "sh") if "mybot.py" in block]
    names: dict[str, Any] = {"__name__": "mybot"}
    exec(block.partition("'END'\n")[2].partition("END\n")[0], names)
    event = Event(1, "message:wamid.X", "message", "text", None, NOW, NOW, False, '{"item": {"from": "1"}}')
    said: list[str] = []
    names["greet"](event, SimpleNamespace(attempt=2, reply=said.append))
    assert said == ["You wrote None, and this is attempt 2."]
