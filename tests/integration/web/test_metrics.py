"""``GET /metrics``, with stores that answer, refuse and hang."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.broker.quarantine import quarantine
from app.stores import connections
from app.stores.models import JobState
from app.stores.redis_keys import JOURNAL
from app.watch import alert_marks
from app.watch.alert_states import apply
from app.watch.conditions import Action, AlertChange, AlertName
from app.watch.heartbeats import beat, member
from app.web import metrics
from config.settings import Settings
from tests.helpers.rows import add_events, add_sample

Numbers = dict[str, float]


@pytest.fixture
def client(settings: Settings) -> Iterator[FlaskClient]:
    app = Flask(__name__)
    app.register_blueprint(metrics.blueprint)
    metrics.backlog_collector.invalidate()
    with app.test_client() as found:
        yield found


def scrape(client: FlaskClient) -> Numbers:
    """Every sample as ``name{label}``."""
    response = client.get("/metrics")
    assert response.status_code == 200
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}" if sample.labels else sample.name: sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics_are_the_backlogs_numbers(client: FlaskClient) -> None:
    engine, redis = connections.engine(), connections.redis()
    add_sample(engine, size=2, seconds_old=60)
    add_events(engine, 3)
    add_events(engine, 2, state=JobState.DEAD)
    redis.hset(JOURNAL, "a", b"{}")
    redis.lpush("conversations", "a")
    beat(redis, member("worker@a", ["conversations"]))
    quarantine("conversations", b"no message", ValueError("headers"))
    with engine.begin() as connection:
        apply(connection, AlertChange(Action.RAISE, AlertName.DEAD_LETTERS, "two", 2, 1))
    numbers = scrape(client)
    assert numbers["neverdrop_up{postgres}"] == numbers["neverdrop_up{redis}"] == 1
    assert numbers["neverdrop_backlog_size"] == 4
    assert numbers["neverdrop_backlog_growth"] == 2
    assert numbers["neverdrop_pending_events"] == 3
    assert numbers["neverdrop_dead_letters"] == 2
    assert numbers["neverdrop_journal_deliveries"] == 1
    assert numbers["neverdrop_queue_messages{conversations}"] == 1
    assert numbers["neverdrop_workers{conversations}"] == 1
    assert numbers["neverdrop_workers{webhooks}"] == 0
    assert numbers["neverdrop_quarantined_messages"] == 1
    assert numbers["neverdrop_quarantined_total{conversations}"] == 1
    assert numbers["neverdrop_alert_raised{dead_letters}"] == 1
    assert numbers["neverdrop_alert_raised{backlog_size}"] == 0


def test_scrapes_in_quick_succession_measure_once(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "CACHED_SECONDS", 3600)
    scrape(client)
    add_events(connections.engine(), 3)
    assert scrape(client)["neverdrop_pending_events"] == 0
    metrics.backlog_collector.invalidate()
    assert scrape(client)["neverdrop_pending_events"] == 3


def test_without_redis_the_tables_are_still_shown(client: FlaskClient, env: Callable[..., Settings]) -> None:
    env(REDIS_URL="redis://127.0.0.1:1/0")
    add_events(connections.engine(), 3)
    numbers = scrape(client)
    assert (numbers["neverdrop_up{postgres}"], numbers["neverdrop_up{redis}"]) == (1, 0)
    assert numbers["neverdrop_pending_events"] == 3
    assert "neverdrop_journal_deliveries" not in numbers


def test_without_postgres_the_journal_is_still_shown(
    client: FlaskClient, env: Callable[..., Settings]
) -> None:
    env(DATABASE_URL="postgresql://127.0.0.1:1/none")
    connections.redis().hset(JOURNAL, "a", b"{}")
    numbers = scrape(client)
    assert (numbers["neverdrop_up{postgres}"], numbers["neverdrop_up{redis}"]) == (0, 1)
    assert numbers["neverdrop_journal_deliveries"] == 1
    assert "neverdrop_pending_events" not in numbers


def test_without_postgres_the_alerts_that_need_no_postgres_are_shown(
    client: FlaskClient, env: Callable[..., Settings]
) -> None:
    env(DATABASE_URL="postgresql://127.0.0.1:1/none")
    alert_marks.mark(connections.redis(), AlertChange(Action.RAISE, AlertName.DATABASE_DOWN, "away", 1, 1))
    numbers = scrape(client)
    assert numbers["neverdrop_alert_raised{database_down}"] == 1
    assert numbers["neverdrop_alert_raised{no_beat}"] == 0
    assert "neverdrop_alert_raised{backlog_size}" not in numbers


def test_a_postgres_that_hangs_does_not_hang_the_scrape(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "STORE_SECONDS", 0.2)
    with connections.engine().connect() as connection:
        server = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    os.kill(server, signal.SIGSTOP)  # the pooled connection that the scrape will use
    try:
        assert scrape(client)["neverdrop_up{postgres}"] == 0
    finally:
        os.kill(server, signal.SIGCONT)
    metrics.backlog_collector.invalidate()
    monkeypatch.setattr(metrics, "STORE_SECONDS", 10)
    assert scrape(client)["neverdrop_up{postgres}"] == 1
