"""Every wait for Postgres ends, also for one that takes what it is sent and says nothing."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from psycopg2 import extensions
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import OperationalError

from app.handlers import Context, Event
from app.lanes.time_limit import TimeLimitExceeded, time_limit
from app.stores import connections, postgres_wait
from app.stores.guarded_connection import GuardedConnection
from config.settings import Settings
from tests.helpers.core import Core, text_body
from tests.helpers.relay import Relay

LONG_SECONDS = 3600
SOCKET = "/.s.PGSQL.5432"


@pytest.fixture
def relay(database_url: str) -> Iterator[Relay]:
    with Relay(str(make_url(database_url).query["host"]) + SOCKET) as opened:
        yield opened


@pytest.fixture
def relayed(env: Callable[..., Settings], database_url: str, relay: Relay) -> Callable[..., Settings]:
    """Settings that lead to Postgres through the relay, with short waits."""
    url = make_url(database_url)
    network = f"postgresql://{url.username}@127.0.0.1:{relay.port}/{url.database}"
    return lambda **more: env(DATABASE_URL=network, DATABASE_TIMEOUT_SECONDS="1", **more)


ENGINES: list[Callable[[], Engine]] = [
    connections.engine,
    connections.lane_engine,
    connections.sender_engine,
    connections.web_engine,
]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_statement_whose_answer_is_swallowed_costs_a_connection(
    engine: Callable[[], Engine],
    relay: Relay,
    relayed: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "ANSWER_MARGIN_SECONDS", 0.1)
    monkeypatch.setattr(connections, "WEB_STATEMENT_SECONDS", 1)
    relayed()
    with engine().connect() as connection:
        relay.swallow()
        with pytest.raises(OperationalError, match="in time"):
            connection.execute(text("SELECT 1"))
        assert connection.invalidated
    with engine().connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_server_that_says_nothing_is_given_up_while_it_is_connected_to(
    engine: Callable[[], Engine],
    relay: Relay,
    relayed: Callable[..., Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.2)
    relayed()
    relay.silent = True
    with pytest.raises(OperationalError, match="in time"):
        engine().connect()


@pytest.mark.parametrize("engine", ENGINES)
def test_of_several_hosts_one_that_says_nothing_is_passed_over(
    engine: Callable[[], Engine],
    relay: Relay,
    env: Callable[..., Settings],
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.2)
    url = make_url(database_url)
    with Relay(relay.target) as good:
        relay.silent = True
        hosts = f"host=127.0.0.1:{relay.port}&host=127.0.0.1:{good.port}"
        env(DATABASE_URL=f"postgresql://{url.username}@/{url.database}?{hosts}")
        with engine().connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        with postgres_wait.until(time.monotonic() + LONG_SECONDS), engine().connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


def test_of_several_addresses_of_a_host_one_that_says_nothing_is_passed_over(
    relay: Relay, env: Callable[..., Settings], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.6)
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"127.0.0.{last}", 0)) for last in (3, 2, 1)]
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: addresses if host == "db" else resolve(host, *rest, **more),
    )
    url = make_url(database_url)
    with socket.create_server(("127.0.0.3", relay.port)), socket.create_server(("127.0.0.2", relay.port)):
        env(DATABASE_URL=f"postgresql://{url.username}@db:{relay.port}/{url.database}")
        with connections.engine().connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


def test_a_handlers_time_limit_ends_its_query(core: Core) -> None:
    def slow(event: Event, ctx: Context) -> None:
        ctx.session.execute(text(f"SELECT pg_sleep({LONG_SECONDS})"))

    core.on("message", "text", slow, time_limit_seconds=0.2)
    core.ingest(text_body("slow"))
    core.run()
    assert core.event("slow").error.startswith("TimeLimitExceeded: ")
    assert core.event("slow").state == "pending"


def test_a_connection_of_a_handlers_own_is_waited_for_until_its_time_limit(
    services: Any, settings: Settings
) -> None:
    own: Any = psycopg2.connect(services.postgres_url)
    with own.cursor() as cursor, pytest.raises(TimeLimitExceeded), time_limit(0.2):
        cursor.execute("SELECT pg_sleep(%s)", (LONG_SECONDS,))


def test_a_handlers_statement_may_take_as_long_as_the_handler(settings: Settings) -> None:
    with connections.lane_engine().connect() as connection:
        driver: Any = connection.connection.driver_connection
        assert isinstance(driver, GuardedConnection)
        ours = driver.max_wait_seconds
        assert ours == settings.database_timeout_seconds + connections.ANSWER_MARGIN_SECONDS
        with driver.guarded():
            assert driver.max_wait_seconds is not None
            assert driver.max_wait_seconds > settings.handler_time_limit_seconds
        assert driver.max_wait_seconds == ours


def test_deadlines_of_a_thread_do_not_outlive_their_block() -> None:
    now = time.monotonic()
    with postgres_wait.until(now + 10):
        with postgres_wait.until(now + 100):
            assert postgres_wait.share(1000, 1) <= 10
        with postgres_wait.until(now + 1):
            assert postgres_wait.share(1000, 2) <= 0.5
        assert 1 < postgres_wait.share(1000, 1) <= 10
    assert postgres_wait.share(1000, 1) == 1000
    assert not hasattr(extensions.connection, "max_wait_seconds")
