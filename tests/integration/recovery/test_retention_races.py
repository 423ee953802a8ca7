"""What is deleted, beside others that lock, delete and write at the same moment."""

import threading
import time
from typing import Any
from uuid import UUID

import pytest

from app.ingest.rows import Incoming
from app.ingest.store import _store
from app.payload.parse import parse
from app.recovery import retention
from app.recovery.retention import Purged, cutoff, purge
from app.stores.delivery_id import ids
from app.stores.models import JobState
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body
from tests.helpers.rows import add_events
from tests.integration.recovery.retention import DAYS, OLD, age, left, purged, status_of

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


# Beside others


def holding(core: Core, statement: str) -> Any:
    """A connection in whose open transaction rows are locked."""
    connection = core.engine.connect()
    connection.exec_driver_sql(statement)
    return connection


def test_what_another_has_locked_is_passed_over(core: Core) -> None:
    first, _ = add_events(core.engine, 2, state=JobState.DONE, finished_at=OLD)
    with holding(core, f"SELECT FROM outcomes WHERE id = {first} FOR UPDATE"):
        assert purged(core).events == 1
    assert purged(core).events == 1


def test_two_purges_at_once_delete_everything_once(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 5)
    core.registry.handlers.clear()
    for number in range(20):
        for state in ("sent", "delivered", "read"):
            status_of(core, state, number=number)
    age(core)
    totals: list[Purged] = []
    threads = [threading.Thread(target=lambda: totals.append(purged(core))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_SECONDS)
    age(core)
    total = sum(totals, Purged()) + purged(core)
    assert total == Purged(events=60, deliveries=60, statuses=20)
    assert left(core) == {"conversations": 1}


def test_two_that_delete_the_last_two_events_of_a_message_leave_no_status(core: Core) -> None:
    """Each sees the other's event until it commits; the second waits for the status, and looks again."""
    core.registry.handlers.clear()
    status_of(core, "sent")
    age(core, days=1)
    status_of(core, "read")
    age(core)
    before = cutoff(core.engine, core.redis, DAYS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention, "AT_ONCE", 1)
        with core.engine.connect() as one:
            first, _ = retention._delete_events(one, retention.BEGINNING, before)
            others: list[Purged] = []
            other = threading.Thread(target=lambda: others.append(purged(core)))
            other.start()
            wait_for_lock(core)
            one.commit()
            other.join(WAIT_SECONDS)
    assert (first.events, others[0].events) == (1, 1)
    assert core.value("SELECT count(*) FROM message_statuses WHERE purge_after IS NOT NULL") == 1


def wait_for_lock(core: Core) -> None:
    """Until some transaction waits for another."""
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    deadline = time.monotonic() + WAIT_SECONDS
    while not core.value(waiting):
        assert time.monotonic() < deadline


def test_a_status_that_is_being_written_is_not_lost(core: Core) -> None:
    """Ingest has moved the row and not committed yet: the purge waits, sees the new event, and lets it be."""
    core.registry.handlers.clear()
    status_of(core, "sent")
    age(core)
    body = f.wire(f.body(f.statuses(f.status("read", number=9))))
    results: list[Purged] = []
    deleting = threading.Thread(target=lambda: results.append(purged(core)))
    with core.engine.connect() as connection:
        ingesting(connection, core, body)
        deleting.start()
        wait_for_lock(core)
        connection.commit()
    deleting.join(WAIT_SECONDS)
    assert (results[0].events, results[0].statuses) == (1, 0)
    assert core.value("SELECT status FROM message_statuses") == "read"


def ingesting(connection: Any, core: Core, body: bytes) -> None:
    """The transaction of an ingest, before its commit."""
    incoming = Incoming(UUID(ids.take(1)[0]), body)
    _store(connection, core.registry, [(incoming, parse(body))])


def test_a_conversation_that_gets_an_event_while_its_last_ones_are_deleted_is_the_same(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    age(core)
    batches = purge(core.engine, cutoff(core.engine, core.redis, DAYS))
    next(batches)
    core.ingest(text_body("b"))
    list(batches)
    core.run()
    assert core.seen == ["a", "b"]
    assert core.value("SELECT count(*) FROM conversations") == 1
