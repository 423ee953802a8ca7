"""The tasks: each opens what is needed, calls the core and acts on its answer."""

from types import ModuleType

import pytest

from app import dead_letters
from tests.helpers import factories as f
from tests.helpers.clock import Clock
from tests.helpers.core import Core, text_body
from tests.helpers.rows import ago

pytestmark = pytest.mark.core(of_process=True)


# maintenance


def test_the_sweep_of_what_is_due_wakes_its_lanes(core: Core, maintenance: ModuleType) -> None:
    core.on("message", None, core.failing("a"))
    (lane,) = core.ingest(text_body("a")).lanes
    core.run()
    maintenance.sweep_due()
    assert core.wakes_in_queue() == []
    core.make_due()
    maintenance.sweep_due()
    assert core.wakes_in_queue() == [lane]


def test_the_sweep_of_the_fallback_store_brings_all_in(
    core: Core, maintenance: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.recovery.sweeper.STORED_AT_ONCE", 2)
    core.on("message")
    for words in ("a", "b", "c"):
        core.accept_in_fallback_store(text_body(words))
    maintenance.sweep_stored()
    core.run()
    assert core.seen == ["a", "b", "c"]
    assert core.rows("SELECT DISTINCT state, body, door FROM deliveries") == [("split", None, "postgres")]


def test_the_sweep_of_what_was_lost_looks_at_journal_and_lanes(core: Core, maintenance: ModuleType) -> None:
    core.on("message")
    core.ingest(text_body("lane"))
    core.execute("UPDATE jobs SET since = :long_ago", long_ago=ago(60))
    core.redis.flushall()
    core.accept(text_body("journal", sender=2), at_ms=1_000_000_000_000)
    core.redis.delete("webhooks")
    maintenance.sweep_lost()
    core.ingest_waiting()
    core.run()
    assert sorted(core.seen) == ["journal", "lane"]


def test_the_sweep_of_dead_letters_makes_the_queue_equal_to_the_table(
    core: Core, maintenance: ModuleType
) -> None:
    core.ingest(b"unreadable")
    core.execute("UPDATE outcomes SET finished_at = :long_ago", long_ago=ago(60))
    maintenance.sweep_dead_letters()
    assert core.dead_queue() == [core.value("SELECT id FROM event_jobs")]


def test_a_dead_letter_can_be_retried_by_its_message(core: Core, maintenance: ModuleType) -> None:
    core.on("message", None, core.failing("a"), max_attempts=1)
    core.ingest(text_body("a"))
    core.run()
    core.broken.clear()
    maintenance.retry_dead_letter(core.event("a").id)
    maintenance.retry_dead_letter(core.event("a").id)
    core.run()
    assert core.seen == ["a"]
    assert core.value("SELECT who FROM dead_letter_actions") == "task"
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)


def test_the_watch_of_the_backlog_keeps_a_sample(core: Core, maintenance: ModuleType) -> None:
    core.on("message")
    core.ingest(f.body(f.messages(f.text_message())))
    maintenance.watch_backlog()
    assert core.value("SELECT size FROM backlog_samples") == 1


def test_a_scheduled_run_is_skipped_right_after_another_whatever_the_wall_clocks_say(
    maintenance: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[int] = []
    clock = Clock()
    monkeypatch.setattr(maintenance, "time", clock)
    monkeypatch.setattr(maintenance, "_ended", {})
    monkeypatch.setattr(maintenance.sweep_due, "run", lambda: runs.append(1))
    task = maintenance.sweep_due
    task.push_request(called_directly=False)
    try:
        task()
        task()
        assert len(runs) == 1
        clock.now += 1
        task()
        assert len(runs) == 2
    finally:
        task.pop_request()
