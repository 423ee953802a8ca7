"""The backlog as real tables and a real Redis show it."""

import time

import pytest
from redis import Redis
from sqlalchemy import Engine, func, select, text

from app.stores import connections
from app.stores.models import BacklogSample, JobState
from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX, WORKERS
from app.watch import backlog
from app.watch.heartbeats import beat, member
from config.settings import Settings
from tests.helpers.rows import add_events, add_retry, add_sample, add_stored_delivery, ago

WINDOW_SECONDS = 300
OLD_SECONDS = 3600


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return connections.engine()


@pytest.fixture
def redis(settings: Settings) -> "Redis":
    return connections.redis()


def measure(engine: Engine, redis: "Redis") -> backlog.Backlog:
    return backlog.measure(engine, redis, WINDOW_SECONDS)


def test_an_empty_pipeline_has_no_backlog(engine: Engine, redis: "Redis") -> None:
    found = measure(engine, redis)
    assert (found.size, found.oldest_seconds, found.dead_letters, found.workers) == (0, 0, 0, 0)
    assert found.growth is None


def test_only_what_is_unfinished_counts(engine: Engine, redis: "Redis") -> None:
    add_events(engine, 3)
    add_events(engine, 5, state=JobState.DONE)
    add_events(engine, 2, state=JobState.DEAD)
    add_events(engine, 1, state=JobState.DISCARDED)
    add_stored_delivery(engine)
    redis.hset(JOURNAL, "a", b"{}")
    found = measure(engine, redis)
    assert (found.stored.pending, found.stored.deliveries, found.transport.journal) == (3, 1, 1)
    assert (found.size, found.dead_letters) == (5, 2)


def test_a_count_stops_at_its_limit(engine: Engine, redis: "Redis", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "COUNT_LIMIT", 4)
    add_events(engine, 6)
    assert measure(engine, redis).stored.pending == 4


@pytest.mark.parametrize("place", ["event", "fallback store", "journal"])
def test_the_age_is_that_of_the_oldest_unfinished(place: str, engine: Engine, redis: "Redis") -> None:
    add_events(engine)
    add_events(engine, state=JobState.DONE, accepted_at=ago(10 * OLD_SECONDS))
    if place == "event":
        add_events(engine, accepted_at=ago(OLD_SECONDS))
    elif place == "fallback store":
        add_stored_delivery(engine, OLD_SECONDS)
    else:
        redis.zadd(JOURNAL_INDEX, {"a": (time.time() - OLD_SECONDS) * 1000, "b": time.time() * 1000})
    assert measure(engine, redis).oldest_seconds == pytest.approx(OLD_SECONDS, abs=60)


def test_a_retried_dead_letter_is_as_old_as_its_retry(engine: Engine, redis: "Redis") -> None:
    (retried,) = add_events(engine, accepted_at=ago(100 * OLD_SECONDS))
    add_retry(engine, retried, 2 * OLD_SECONDS)
    add_retry(engine, retried, OLD_SECONDS)
    assert measure(engine, redis).oldest_seconds == pytest.approx(OLD_SECONDS, abs=60)


def test_a_clock_that_is_ahead_gives_no_negative_age(engine: Engine, redis: "Redis") -> None:
    add_events(engine, accepted_at=ago(-OLD_SECONDS))
    assert measure(engine, redis).stored.pending_oldest_seconds == 0


def test_lanes_held_by_a_failing_event_are_counted_once_each(engine: Engine, redis: "Redis") -> None:
    add_events(engine, due_at=ago(-60), error="ValueError: no", lane=7)
    add_events(engine, due_at=ago(-60), error="ValueError: no", lane=7)
    add_events(engine, due_at=ago(-60), error="ValueError: no", holds=False)
    add_events(engine)
    assert measure(engine, redis).stored.held_lanes == 1


def test_queues_are_counted_with_their_priorities_and_what_workers_have_taken(
    engine: Engine, redis: "Redis"
) -> None:
    redis.lpush("conversations", "a", "b")
    redis.lpush("conversations\x06\x163", "c")
    redis.lpush("dead_letters", "d")
    redis.hset("unacked", "tag", "e")
    found = measure(engine, redis).transport
    assert found.queues == {
        "webhooks": 0,
        "conversations": 3,
        "outbox": 0,
        "maintenance": 0,
        "dead_letters": 1,
    }
    assert found.unacked == 1


def test_workers_count_while_they_beat(engine: Engine, redis: "Redis") -> None:
    beat(redis, member("ingest@a", ["webhooks", "maintenance"]))
    beat(redis, member("worker@a", ["conversations"]))
    redis.zadd(WORKERS, {member("worker@b", ["conversations"]): time.time() - 60})
    found = measure(engine, redis)
    assert (found.workers, found.ingests) == (1, 1)
    assert set(found.transport.workers) == {"ingest@a", "worker@a"}


def test_growth_is_since_the_oldest_sample_in_the_window(engine: Engine, redis: "Redis") -> None:
    add_sample(engine, size=1, seconds_old=WINDOW_SECONDS + 60)
    add_sample(engine, size=2, seconds_old=WINDOW_SECONDS - 60)
    add_sample(engine, size=9, seconds_old=10)
    add_events(engine, 5)
    assert measure(engine, redis).growth == 3


def test_a_sample_is_kept_and_old_ones_are_forgotten(engine: Engine, redis: "Redis") -> None:
    add_sample(engine, size=1, seconds_old=(backlog.SAMPLES_KEPT_DAYS + 1) * 86_400)
    add_events(engine, 2)
    with engine.begin() as connection:
        backlog.sample(connection, measure(engine, redis))
    with engine.connect() as connection:
        assert connection.scalars(select(BacklogSample.size)).all() == [2]


def test_no_query_reads_the_finished_events(engine: Engine, redis: "Redis") -> None:
    add_events(engine, 2_000, state=JobState.DONE, handler="shop.answer", finished_at=ago(5))
    add_events(engine, 20)
    add_events(engine, 20, state=JobState.DEAD)
    with engine.begin() as connection:
        connection.execute(text("ANALYZE outcomes"))
        plan = connection.execute(
            text("EXPLAIN " + backlog.MEASURE.text),
            {"limit": 1000, "window_seconds": WINDOW_SECONDS, "unhandled_seconds": backlog.UNHANDLED_SECONDS},
        ).scalars()
        assert "Seq Scan on outcomes" not in "\n".join(plan)
        assert connection.scalar(select(func.count()).select_from(BacklogSample)) == 0
