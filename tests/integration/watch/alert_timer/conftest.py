"""A timer that the tests turn by hand."""

from collections.abc import Callable, Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine

from app.stores import connections
from app.watch import alert_states, alert_timer, observation
from app.watch.alert_timer import AlertTimer
from config.settings import Settings
from tests.helpers import services as servers
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.services import Services
from tests.integration.watch.alert_timer.support import Clock, publish_by_beat


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
