"""The code that the docs show runs as it stands."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine

from app.handlers import Context, Event
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
    bot, several, start_hook, test = blocks(PAGES["handlers"], "python")
    compile(start_hook, "docs/handlers.md", "exec")
    engine = create_engine("sqlite://")
    names: dict[str, Any] = {
        "__name__": "mybot", "engine": engine, "now": NOW, "Event": Event, "Context": Context,
    }  # fmt: skip
    exec(bot, names)
    assert {handler.name for handler in registry.handlers.values()} == {"mybot.note", "mybot.note_failure"}
    registry.handlers.clear()
    exec(several, {"__name__": "mybot", "on_message": names["on_message"]})
    assert registry.lane_names == ["main", "crm"]
    names["Base"].metadata.create_all(engine)
    exec(test, names)
    engine.dispose()


def test_the_handler_of_the_quickstart_runs_as_it_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registry, "handlers", {})
    (block,) = [block for block in blocks(PAGES["quickstart"], "sh") if "mybot.py" in block]
    names: dict[str, Any] = {"__name__": "mybot"}
    exec(block.partition("'END'\n")[2].partition("END\n")[0], names)
    event = Event(1, "message:wamid.X", "message", "text", None, NOW, NOW, False, '{"item": {"from": "1"}}')
    names["greet"](event, SimpleNamespace(attempt=2))
    assert capsys.readouterr().out == "a text from 1 in attempt 2\n"
