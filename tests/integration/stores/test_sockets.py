"""Every socket to a store notices by itself that its peer is gone, and so does Postgres's end of it."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, make_url, text
from sqlalchemy.exc import DBAPIError

from app.broker import NeverdropCelery
from app.stores import connections
from app.stores.session_options import SERVER_KEEPALIVE
from config.settings import Settings
from tests.helpers.core import Core, text_body
from tests.helpers.relay import Relay
from tests.helpers.waiting import until

OPTIONS = {
    socket.TCP_KEEPIDLE: 10,
    socket.TCP_KEEPINTVL: 5,
    socket.TCP_KEEPCNT: 3,
    socket.TCP_USER_TIMEOUT: 20_000,
}
ENGINES: list[Callable[[], Engine]] = [
    connections.engine,
    connections.lane_engine,
    connections.sender_engine,
    connections.web_engine,
]


def assert_notices_a_lost_peer(opened: socket.socket) -> None:
    assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert {name: opened.getsockopt(socket.IPPROTO_TCP, name) for name in OPTIONS} == OPTIONS


@pytest.fixture
def over_tcp(env: Callable[..., Settings], database_url: str) -> Iterator[Settings]:
    url = make_url(database_url)
    with Relay(str(url.query["host"]) + "/.s.PGSQL.5432") as relay:
        yield env(DATABASE_URL=f"postgresql://{url.username}@127.0.0.1:{relay.port}/{url.database}")


@pytest.mark.usefixtures("over_tcp")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_socket_to_postgres(engine: Callable[[], Engine]) -> None:
    with engine().connect() as connection:
        driver: Any = connection.connection.driver_connection
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as opened:
            assert_notices_a_lost_peer(opened)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("engine", ENGINES)
def test_postgres_is_asked_to_look_after_its_own_end(engine: Callable[[], Engine]) -> None:
    with engine().connect() as connection:
        asked = connection.execute(
            text("SELECT name, reset_val, unit FROM pg_settings WHERE source = 'client'")
        )
        found = {row.name: row.reset_val for row in asked}
    assert found.keys() >= {*SERVER_KEEPALIVE, "statement_timeout", "idle_in_transaction_session_timeout"}


@pytest.mark.usefixtures("settings")
def test_sockets_to_redis(redis_url: str) -> None:
    assert redis_url.startswith("redis://")
    for client in (connections.redis(), connections.web_redis()):
        client.ping()
        (opened,) = client.connection_pool._available_connections  # type: ignore[attr-defined]
        assert_notices_a_lost_peer(opened._sock)


@pytest.mark.usefixtures("settings")
def test_the_webs_socket_to_redis() -> None:
    async def look() -> None:
        connection = connections.web_connection()
        await connection.connect()  # type: ignore[no-untyped-call]
        assert_notices_a_lost_peer(connection._writer.get_extra_info("socket"))  # type: ignore[union-attr]
        await connection.disconnect()  # type: ignore[no-untyped-call]

    asyncio.run(look())


def test_celerys_socket_to_redis(settings: Settings) -> None:
    with NeverdropCelery(settings, set_as_current=False).connection_for_read() as connection:
        client = connection.default_channel.client
        opened = client.connection_pool.get_connection()
        assert_notices_a_lost_peer(opened._sock)
        client.connection_pool.release(opened)


@pytest.mark.core(messages="noted")
def test_a_machine_that_vanishes_between_the_handlers_end_and_its_commit_keeps_no_row(
    core: Core, env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_MARGIN_SECONDS", 0.2)
    env(HANDLER_TIME_LIMIT_SECONDS="0.1")
    core.ingest(text_body("a"))
    vanished = connections.lane_engine().connect()
    vanished.execute(text("UPDATE jobs SET due_at = due_at"))  # and then not a word

    def ran() -> bool:
        core.redis.flushall()
        core.advance(core.event("a").lane)
        return core.seen == ["a"]

    until(ran)
    with pytest.raises(DBAPIError):
        vanished.execute(text("SELECT 1"))
    vanished.close()
