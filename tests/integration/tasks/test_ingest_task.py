"""The task ``ingest``: what it stores, and what it does while a store is away."""

from types import ModuleType
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisAwayError

from app.ingest import MAX_REQUEUES
from app.stores.redis_keys import JOURNAL, JOURNAL_REQUEUED, JOURNAL_REQUEUES
from config.celery import WEBHOOKS
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.clock import Clock
from tests.helpers.core import Core, text_body
from tests.integration.tasks.support import POSTGRES_AWAY, away

pytestmark = pytest.mark.core(of_process=True)


# ingest


def test_the_task_ingest_stores_what_it_is_given(core: Core, ingest: ModuleType) -> None:
    core.on("message")
    core.accept(text_body("a"), text_body("b"))
    ingest.ingest_deliveries([list(delivery) for delivery in core.take_task()])
    core.run()
    assert core.seen == ["a", "b"]
    assert core.redis.hlen(JOURNAL) == 0


@pytest.mark.parametrize("error", POSTGRES_AWAY)
def test_the_task_ingest_waits_while_postgres_is_away(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    real, calls = ingest.ingest, []

    def recover(*arguments: Any) -> None:
        calls.append(arguments)
        (real if len(calls) > 3 else away(error))(*arguments)

    monkeypatch.setattr(ingest, "ingest", recover)
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert core.states() == {"unhandled": 1}
    assert len(clock.slept) == 3 + 1  # and once for what may come


def test_the_task_ingest_gives_up_before_its_time_limit_and_leaves_the_journal(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr(ingest, "ingest", away(POSTGRES_AWAY[0]))
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert sum(clock.slept) > ingest.PATIENCE_SECONDS - 2 * ingest.MAX_WAIT_SECONDS
    assert sum(clock.slept) < settings.advance_time_limit_seconds
    assert max(clock.slept) <= ingest.MAX_WAIT_SECONDS
    assert core.redis.hlen(JOURNAL) == 1


def redelivered(core: Core, ingest: ModuleType) -> None:
    """Run the task as Celery does when the process that had its message died."""
    bodies = core.take_task()
    ingest.ingest_deliveries.push_request(delivery_info={"redelivered": True})
    try:
        ingest.ingest_deliveries.run(bodies)
    finally:
        ingest.ingest_deliveries.pop_request()


def test_what_is_given_out_again_is_stored_without_what_waits_beside_it(
    core: Core, ingest: ModuleType
) -> None:
    core.on("message")
    core.accept(text_body("a"))
    core.accept(text_body("b", sender=2))
    redelivered(core, ingest)
    assert core.states() == {"pending": 1}
    assert core.redis.hlen(JOURNAL_REQUEUES) == 0


def test_a_delivery_that_ends_its_ingest_again_and_again_becomes_a_dead_letter(
    core: Core, ingest: ModuleType
) -> None:
    (id_,) = core.accept(text_body("poison"))
    core.redis.hset(JOURNAL_REQUEUES, id_, MAX_REQUEUES)
    redelivered(core, ingest)
    (event,) = core.rows("SELECT state::text AS state, type, error FROM event_jobs")
    assert (event.state, event.type) == ("dead", "unreadable")
    assert event.error == "its ingest did not end, 20 times"
    assert bytes(core.value("SELECT body FROM deliveries")) == f.wire(text_body("poison"))
    assert core.redis.exists(JOURNAL, JOURNAL_REQUEUES) == 0


def test_a_delivery_that_the_sweep_enqueued_in_vain_becomes_a_dead_letter(
    core: Core, maintenance: ModuleType
) -> None:
    (id_,) = core.accept(text_body("poison"), at_ms=1)
    for _ in range(MAX_REQUEUES):
        core.redis.delete(WEBHOOKS)
        maintenance.sweep_lost()
        assert len(core.take_task()) == 1
        core.redis.zadd(JOURNAL_REQUEUED, {id_: 1})
    maintenance.sweep_lost()
    assert core.states() == {"dead": 1}
    assert core.redis.exists(JOURNAL, WEBHOOKS) == 0


def test_an_outage_of_postgres_does_not_count_against_a_delivery(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest, "ingest", away(POSTGRES_AWAY[0]))
    (id_,) = core.accept(text_body("a"))
    core.redis.hset(JOURNAL_REQUEUES, id_, MAX_REQUEUES - 1)
    redelivered(core, ingest)
    assert core.redis.exists(JOURNAL_REQUEUES) == 0
    assert core.redis.hlen(JOURNAL) == 1


def test_the_task_ingest_is_content_when_only_redis_is_away(
    core: Core, ingest: ModuleType, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ingest.store.remove_from_journal", away(RedisAwayError()))
    core.accept(text_body("a"))
    ingest.ingest_deliveries(core.take_task())
    assert core.states() == {"unhandled": 1}
    assert clock.slept == []
