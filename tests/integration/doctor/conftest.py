"""The doctor waits no longer than it must for workers, and what it imports is not left in the test run."""

import sys
from collections.abc import Iterator

import pytest

from app.doctor import processes
from app.handlers import registry


@pytest.fixture(autouse=True)
def without_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.01)


@pytest.fixture(autouse=True)
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Handlers of this test alone; the modules that it imports are imported anew by the next."""
    monkeypatch.setattr(registry, "handlers", {})
    monkeypatch.setattr(registry, "bound", {})
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith(("tests.acceptance.handlers_", "app.handlers.self_check")):
            del sys.modules[name]
