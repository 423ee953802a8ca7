"""What a process asks of the stores before it works with them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import create_engine, make_url

from app.dev.processes.children import Records, end
from app.dev.stack.embedded import DURABLE, free_port, launch, valkey
from app.stores import database_checks, redis_checks
from app.stores.connections import engine, web_engine
from app.stores.connections import redis as our_redis
from app.stores.database_checks import RedisNotOurs, check_database
from app.stores.redis_keys import DATABASE_ID
from tests.helpers import services as servers
from tests.helpers.services import Services

pytestmark = pytest.mark.usefixtures("settings")


class Warnings:
    """Takes the place of a module's log."""

    def __init__(self) -> None:
        self.events: dict[str, str] = {}

    def warning(self, event: str, advice: str) -> None:
        self.events[event] = advice


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


def test_a_user_without_info_and_config_is_warned_of_and_works(redis: "Redis", redis_url: str) -> None:
    redis.acl_setuser(
        "narrow",
        enabled=True,
        passwords=["+word"],
        categories=["+@all", "-@dangerous"],
        keys=["*"],
        channels=["*"],
        reset=True,
    )
    try:
        with Redis.from_url(f"redis://narrow:word@{redis_url.rpartition('@')[2]}") as narrow:
            assert redis_checks.findings(narrow) == [redis_checks.UNKNOWN]
            redis_checks.check_durability(narrow, production=True)
    finally:
        redis.acl_deluser("narrow")


def test_a_redis_in_cluster_mode_is_refused_in_one_sentence() -> None:
    with servers.directory() as path:
        options = {**DURABLE, "cluster-enabled": "yes"}
        server = valkey(path / "valkey", servers.PASSWORD, options, port=free_port())
        running = launch(server, Records.of_this_process(path), path)
        try:
            with (
                Redis.from_url(server.url) as client,
                pytest.raises(redis_checks.UnsafeJournal, match="cluster mode"),
            ):
                redis_checks.check_durability(client, production=False)
        finally:
            end([running])


def test_an_aof_that_is_not_synced_while_it_is_rewritten_is_warned_of(redis: "Redis") -> None:
    redis.config_set("no-appendfsync-on-rewrite", "yes")
    try:
        assert redis_checks.REWRITES in redis_checks.findings(redis)
    finally:
        redis.config_set("no-appendfsync-on-rewrite", "no")


def test_a_postgres_that_does_not_write_to_disk_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    warnings = Warnings()
    monkeypatch.setattr(database_checks, "log", warnings)
    with engine().connect() as connection:  # the tests' own has fsync=off
        check_database(our_redis(), connection)
    assert "full_page_writes=off" in warnings.events["database.not_durable"]


def test_the_first_database_owns_redis_and_another_is_refused(redis: "Redis", services: Services) -> None:
    for _ in range(2):  # a restart
        with engine().connect() as connection:
            check_database(redis, connection)
    assert redis.get(DATABASE_ID)
    other = create_engine(services.postgres_url.replace("postgresql:", "postgresql+psycopg2:"))
    with other.connect() as connection, pytest.raises(RedisNotOurs, match="another database"):
        check_database(redis, connection)
    other.dispose()


@pytest.mark.parametrize("pool", [engine, web_engine])
def test_a_session_that_stores_is_durable_whatever_the_database_says(
    pool: Callable[[], Any], database_url: str
) -> None:
    name = make_url(database_url).database
    for setting in ("synchronous_commit = off", "statement_timeout = '1ms'"):
        servers.execute(database_url, f"ALTER DATABASE {name} SET {setting}")
    with pool().connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
        assert connection.exec_driver_sql("SHOW client_connection_check_interval").scalar() == "10s"
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() != "1ms"
