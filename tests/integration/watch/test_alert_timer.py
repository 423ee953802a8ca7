"""Alerts judged by the timer of one process, with stores that are really full, gone, closed or read-only."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from app.dev.processes.children import Records, end
from app.dev.stack.embedded import free_port, valkey
from app.stores import connections
from app.stores.redis_keys import ALERT_PREFIX
from app.watch import alert_marks, alert_states, alert_timer, beat_signal, observation, unknown_handlers
from app.watch.alert_timer import AlertTimer
from app.watch.conditions import AlertName
from app.watch.observation import RecentCount
from config.settings import Settings
from tests.helpers import services as servers
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.services import Services

Act = Callable[[], None]


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def settings(
    env: Callable[..., Settings], webhook: Receiver, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Conditions need not last, and beat has just published."""
    monkeypatch.setattr(observation, "DOWN_SECONDS", 0)
    monkeypatch.setattr(observation, "UNKNOWN_HANDLER_SECONDS", 0)
    monkeypatch.setattr(alert_states, "SEEN_SECONDS", 0)
    found = env(ALERT_WEBHOOK_URL=webhook.url, ALERT_NO_WORKER_SECONDS="0.001", ALERT_SIGNATURES_REFUSED="3")
    publish_by_beat(monkeypatch)
    alert_timer._raised.clear()
    yield found
    alert_timer._raised.clear()


def publish_by_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(beat_signal._renewed, "at", float("-inf"))
    beat_signal.renew()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(settings: Settings) -> Engine:
    return connections.engine()


@pytest.fixture
def redis(settings: Settings) -> Iterator["Redis"]:
    client = connections.redis()
    yield client
    client.config_set("maxmemory", 0)


@pytest.fixture
def timer(engine: Engine, redis: "Redis", settings: Settings, clock: Clock) -> AlertTimer:
    return AlertTimer(engine, connections.web_redis(), settings, clock=clock)


@pytest.fixture
def closed(services: Services, engine: Engine) -> Callable[[bool], None]:
    """``closed(True)``: Postgres ends every session of the test's database and refuses new ones."""
    name = engine.url.database

    def set_closed(value: bool) -> None:
        servers.execute(services.postgres_url, f"ALTER DATABASE {name} ALLOW_CONNECTIONS {not value}")
        if value:
            servers.execute(
                services.postgres_url,
                f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            )

    return set_closed


@pytest.fixture
def read_only(services: Services, engine: Engine) -> Callable[[bool], None]:
    def set_read_only(value: bool) -> None:
        name = engine.url.database
        servers.execute(
            services.postgres_url, f"ALTER DATABASE {name} SET default_transaction_read_only = {value}"
        )
        engine.dispose()

    return set_read_only


def sent(webhook: Receiver) -> list[tuple[str, str]]:
    return [(message["alert"], message["status"]) for message in webhook.messages]


def raised(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT name FROM alerts WHERE raised")).scalars())


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
        running = servers.launch(server, records, path)
        timer = AlertTimer(engine, Redis.from_url(server.url), settings)
        end([running])
        timer.look()
        assert raised(engine) == {"redis_down"}
        running = servers.launch(server, records, path)
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


def test_beat_that_publishes_nothing_is_missed(
    timer: AlertTimer,
    redis: "Redis",
    webhook: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timer.look()
    redis.delete(beat_signal.BEAT)
    timer.look()
    assert sent(webhook) == []
    clock.now += 1
    timer.look()
    publish_by_beat(monkeypatch)
    timer.look()
    assert sent(webhook) == [("no_beat", "raised"), ("no_beat", "cleared")]


def test_handlers_that_no_worker_knows_are_named(
    timer: AlertTimer, redis: "Redis", webhook: Receiver, engine: Engine
) -> None:
    unknown_handlers.record(redis, ["shop.answer"])
    timer.look()
    assert raised(engine) == {"unknown_handler"}
    assert webhook.messages[0]["reason"].endswith("shop.answer")
    redis.delete(unknown_handlers.UNKNOWN_HANDLERS)
    timer.look()
    assert sent(webhook) == [("unknown_handler", "raised"), ("unknown_handler", "cleared")]


def test_an_alert_that_another_process_still_sees_is_not_cleared(
    engine: Engine,
    redis: "Redis",
    settings: Settings,
    webhook: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert_states, "SEEN_SECONDS", 3600)
    totals = {"refusing": 0, "quiet": 0}
    refusing, quiet = (
        AlertTimer(
            engine,
            redis,
            settings,
            {AlertName.SIGNATURES_REFUSED: RecentCount(lambda name=name: totals[name], 3600)},  # type: ignore[misc]
        )
        for name in totals
    )
    totals["refusing"] = 3
    refusing.look()
    quiet.look()
    assert raised(engine) == {"signatures_refused"}
    monkeypatch.setattr(alert_states, "SEEN_SECONDS", 0)
    quiet.look()
    assert sent(webhook) == [("signatures_refused", "raised"), ("signatures_refused", "cleared")]


def test_growth_is_counted_within_its_window() -> None:
    clock, totals = Clock(), [7]
    count = RecentCount(lambda: totals[0], 30, clock)
    totals[0] = 9
    assert count.read() == 2
    clock.now += 29
    assert count.read() == 2
    clock.now += 1
    totals[0] = 10
    assert count.read() == 1
    clock.now += 60
    assert count.read() == 0


def test_a_backlog_that_nobody_measures_is_measured(
    timer: AlertTimer, engine: Engine, webhook: Receiver, clock: Clock
) -> None:
    timer.look()
    clock.now += alert_timer.STALE_SECONDS
    timer.look()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM backlog_samples")).scalar_one() == 1


def test_the_thread_outlives_whatever_a_look_raises_and_ends_when_told(
    timer: AlertTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    twice = alert_timer.threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            twice.set()
        raise ValueError

    monkeypatch.setattr(alert_timer, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(timer, "look", look)
    timer.start()
    assert twice.wait(10)
    timer.stop()
    assert not timer._thread.is_alive()


def test_a_mark_expires(redis: "Redis", timer: AlertTimer, closed: Callable[[bool], None]) -> None:
    closed(True)
    timer.look()
    assert 0 < int(redis.ttl(f"{ALERT_PREFIX}database_down")) <= alert_marks.MARK_SECONDS
    closed(False)
