"""What breaks when nothing dies must be caught too: releases side by side, names, clocks, exits of handlers."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from app.handlers import Context, Event
from app.handlers.registration import Registry
from app.ingest import conversations
from app.ingest import store as ingest_store
from app.ingest.merge_plan import NameGroup
from app.stores import delivery_id
from app.stores.delivery_id import DeliveryIds
from tests.chaos import bodies, effects, merges, miniature
from tests.chaos.miniature import Miniature
from tests.helpers.factories import NOW
from tests.integration.chaos.verdicts import broken, judge, load, patiently

READING = 2  # of four
CLOCK_MS = 700  # by which the ids of every other body are behind

pytestmark = pytest.mark.usefixtures("env")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "SLOW_SECONDS", 0.3)


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fifth of the attempts raises SystemExit."""
    (tmp_path / effects.STOPS).touch()
    monkeypatch.setattr(effects, "_downstream", lambda: tmp_path)


@pytest.fixture
def standby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some transactions that store bodies are in sessions that read only."""
    insert, turns = ingest_store.insert_events, count()

    def insert_or_not(connection: Connection, *given: Any) -> None:
        if next(turns) % 4 < READING:
            connection.execute(text("SET TRANSACTION READ ONLY"))
        insert(connection, *given)

    monkeypatch.setattr(ingest_store, "insert_events", insert_or_not)


def swallowing(event: Event, ctx: Context) -> None:
    """A worker that takes SystemExit for an end like others."""
    with suppress(SystemExit):
        effects.message(event, ctx)


def test_a_worker_of_another_release_beside_breaks_nothing() -> None:
    assert broken(judge(Miniature(other_release=True).run(load()))) == {}


def test_a_worker_of_another_release_that_runs_what_it_does_not_know_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        Registry, "find_for", lambda self, kind, type_, _name, lane: self.find(kind, type_, lane)
    )
    assert "3a" in broken(judge(Miniature(other_release=True).run(load())))


@pytest.mark.usefixtures("exits")
def test_handlers_that_raise_system_exit_break_nothing() -> None:
    assert broken(judge(Miniature().run(load()))) == {}


@pytest.mark.usefixtures("exits")
def test_a_worker_that_takes_system_exit_for_success_is_caught() -> None:
    assert "3a" in broken(judge(Miniature(handler=swallowing).run(load())))


@pytest.mark.usefixtures("standby")
def test_sessions_that_read_only_break_nothing() -> None:
    assert broken(judge(Miniature().run(load()))) == {}


@pytest.mark.usefixtures("standby")
def test_an_ingest_that_blames_bodies_for_a_session_that_reads_only_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_store, "is_items_fault", lambda _error: True)
    assert "1a" in broken(judge(Miniature().run(load())))


def test_names_that_are_linked_at_once_break_nothing() -> None:
    assert broken(judge(Miniature().run(merges.plan([0.0, 0.0, 0.0], NOW)))) == {}


def test_an_ingest_that_links_no_names_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan_merges = conversations.plan_merges

    def plan_alone(groups: Sequence[NameGroup], *known: Any) -> Any:
        return plan_merges([NameGroup(group.names[:1], group.change_notice) for group in groups], *known)

    monkeypatch.setattr(conversations, "plan_merges", plan_alone)
    assert "4" in broken(judge(Miniature().run(merges.plan([0.0], NOW))))


def test_a_web_that_names_deliveries_by_a_clock_of_its_own_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = count()

    class Swaying(DeliveryIds):
        """As two webs would whose clocks differ."""

        def take(self, number: int) -> list[str]:
            self._last = 0
            self._offset_ns = -CLOCK_MS * 1_000_000 * (next(turns) % 2)
            return super().take(number)

    monkeypatch.setattr(delivery_id, "ids", Swaying())
    monkeypatch.setattr(miniature, "SENDERS", 1)  # so that the order of acceptance is known
    monkeypatch.setattr(bodies, "HOT_CONVERSATIONS", 1)
    monkeypatch.setattr(bodies, "HOT", 1)
    assert "4" in broken(judge(Miniature(handler=patiently).run(load(50))))
