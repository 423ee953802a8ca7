"""Alerts judged by the timer of one process, with stores that are really full, gone, closed or read-only."""

from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from app.dev.processes.children import Records, end
from app.dev.stack.embedded import free_port, launch, valkey
from app.watch import alert_marks, alert_timer
from app.watch.alert_timer import AlertTimer
from config.settings import Settings
from tests.helpers import services as servers
from tests.helpers.receiver import Receiver
from tests.helpers.services import Services
from tests.integration.watch.alert_timer.support import Clock, raised, sent


@pytest.fixture
def read_only(services: Services, engine: Engine) -> Callable[[bool], None]:
    def set_read_only(value: bool) -> None:
        name = engine.url.database
        servers.execute(
            services.postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = {value}"
        )
        engine.dispose()

    return set_read_only


def test_nothing_is_raised_while_all_is_well(timer: AlertTimer, webhook: Receiver, engine: Engine) -> None:
    timer.look()
    assert (sent(webhook), raised(engine)) == ([], set())


def test_a_redis_that_is_full_is_down(
    timer: AlertTimer, redis: "Redis", engine: Engine, webhook: Receiver
) -> None:
    redis.config_set("maxmemory", 1)
    timer.look()
    timer.look()
    assert raised(engine) == {"redis_down"}
    redis.config_set("maxmemory", 0)
    timer.look()
    assert raised(engine) == set()
    assert sent(webhook) == [("redis_down", "raised"), ("redis_down", "cleared")]


def test_a_redis_that_ended_is_down(
    env: Callable[..., Settings], engine: Engine, webhook: Receiver, settings: Settings, tmp_path: Path
) -> None:
    with servers.directory() as path:
        server = valkey(path / "valkey", servers.PASSWORD, port=free_port())
        records = Records.of_this_process(path)
        running = launch(server, records, path)
        timer = AlertTimer(engine, Redis.from_url(server.url), settings)
        end([running])
        timer.look()
        assert raised(engine) == {"redis_down"}
        running = launch(server, records, path)
        timer.look()
        end([running])
    assert "redis_down" not in raised(engine)
    assert sent(webhook)[:2] == [("redis_down", "raised"), ("redis_down", "cleared")]


def test_a_database_that_refuses_is_down_and_redis_keeps_the_alert_meanwhile(
    timer: AlertTimer,
    redis: "Redis",
    closed: Callable[[bool], None],
    webhook: Receiver,
    engine: Engine,
    settings: Settings,
) -> None:
    other = AlertTimer(engine, redis, settings)
    closed(True)
    timer.look()
    other.look()
    timer.look()
    assert alert_marks.raised(redis) == {"database_down"}
    assert sent(webhook) == [("database_down", "raised")]
    closed(False)
    for each in (timer, other, timer, other):
        each.look()
    assert (raised(engine), alert_marks.raised(redis)) == (set(), frozenset())
    assert sent(webhook).count(("database_down", "raised")) == 1
    assert sent(webhook)[-1] == ("database_down", "cleared")


def test_a_database_that_only_reads_is_read_only_and_not_down(
    timer: AlertTimer, read_only: Callable[[bool], None], webhook: Receiver, engine: Engine
) -> None:
    read_only(True)
    timer.look()
    timer.look()
    assert sent(webhook) == [("read_only", "raised")]
    read_only(False)
    timer.look()
    timer.look()
    assert sent(webhook) == [("read_only", "raised"), ("read_only", "cleared")]
    assert raised(engine) == set()


def test_without_both_stores_it_sends_once_and_clears_when_they_are_back(
    timer: AlertTimer,
    redis: "Redis",
    closed: Callable[[bool], None],
    webhook: Receiver,
    engine: Engine,
) -> None:
    redis.config_set("maxmemory", 1)
    closed(True)
    webhook.status = 503
    timer.look()
    assert sent(webhook) == []
    webhook.status = 200
    timer.look()
    timer.look()
    assert sorted(sent(webhook)) == [("database_down", "raised"), ("redis_down", "raised")]
    assert alert_timer.raised_here() == {"database_down", "redis_down"}
    redis.config_set("maxmemory", 0)
    closed(False)
    timer.look()
    timer.look()
    assert sorted(sent(webhook)[2:]) == [("database_down", "cleared"), ("redis_down", "cleared")]
    assert (raised(engine), alert_timer.raised_here()) == (set(), frozenset())


def test_what_comes_and_goes_without_postgres_is_not_sent_each_time(
    timer: AlertTimer,
    redis: "Redis",
    closed: Callable[[bool], None],
    webhook: Receiver,
    clock: Clock,
) -> None:
    closed(True)
    for _ in range(3):
        redis.config_set("maxmemory", 1)
        timer.look()
        redis.config_set("maxmemory", 0)
        timer.look()
    assert [each for each in sent(webhook) if each[0] == "redis_down"] == [
        ("redis_down", "raised"),
        ("redis_down", "cleared"),
    ]
    clock.now += 301
    redis.config_set("maxmemory", 1)
    timer.look()
    assert sent(webhook)[-1] == ("redis_down", "raised")
    closed(False)
