"""The tasks as a worker imports them."""

import importlib
from types import ModuleType

import pytest

from tests.helpers.clock import Clock
from tests.helpers.core import Core


@pytest.fixture
def ingest(core: Core) -> ModuleType:
    return importlib.import_module("tasks.ingest")


@pytest.fixture
def maintenance(core: Core) -> ModuleType:
    return importlib.import_module("tasks.maintenance")


@pytest.fixture
def clock(ingest: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(ingest, "time", clock)
    return clock
