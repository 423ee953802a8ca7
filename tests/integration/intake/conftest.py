"""An intake whose Valkey a test may stop."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from app.broker import envelope
from app.dev.processes.children import end
from app.intake import fallback_store, primary_store
from app.intake.accept import Intake
from app.stores import connections
from tests.helpers import services as servers
from tests.helpers.loop import Blocking
from tests.integration.intake.valkeys import PATIENCE_SECONDS, Valkey


@pytest.fixture
def own_valkey(env: Callable[..., Any]) -> Iterator[Valkey]:
    with servers.directory() as path:
        own = Valkey(path)
        env(REDIS_URL=own.server.url)
        primary_store._durability_checked.clear()
        try:
            yield own
        finally:
            own.client.close()
            end([own.running])


@pytest.fixture
def bounded(own_valkey: Valkey) -> Iterator[Blocking]:
    """As a web process has it, but that every group tries the primary store."""
    envelope.prepare()
    yield Blocking(
        Intake(primary_store.write, fallback_store.write, clock=count(step=PATIENCE_SECONDS).__next__)
    )
    connections.web_engine().dispose()


@pytest.fixture
def intake(bounded: Blocking, monkeypatch: pytest.MonkeyPatch) -> Blocking:
    """One that waits for a slow disk."""
    monkeypatch.setattr(connections, "WEB_REDIS_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    return bounded
