"""Errors of the real servers, judged: each row of the table in ``app/stores/faults.py``."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from app.stores import faults
from app.stores.connections import engine, retry_on_stale_connection
from app.stores.faults import Fault, judge, sqlstate
from app.stores.prepared import Prepared

pytestmark = pytest.mark.usefixtures("settings")

# An example of each row, as the server sends it
SQLSTATES = {
    "08006": Fault.AWAY,
    "28000": Fault.AWAY,
    "3D000": Fault.AWAY,
    "53100": Fault.AWAY,
    "53300": Fault.AWAY,
    "57P03": Fault.AWAY,
    "57P04": Fault.AWAY,
    "58030": Fault.AWAY,
    "F0001": Fault.AWAY,
    "25006": Fault.CONNECTION,
    "25P03": Fault.CONNECTION,
    "25P04": Fault.CONNECTION,
    "26000": Fault.CONNECTION,
    "40003": Fault.CONNECTION,
    "42P05": Fault.CONNECTION,
    "57P01": Fault.CONNECTION,
    "57P02": Fault.CONNECTION,
    "57P05": Fault.CONNECTION,
    "40001": Fault.AGAIN,
    "40P01": Fault.AGAIN,
    "55P03": Fault.AGAIN,
    "42P01": Fault.SCHEMA,
    "42501": Fault.SCHEMA,
    "0A000": Fault.ITEM,
    "22003": Fault.ITEM,
    "23505": Fault.ITEM,
    "54000": Fault.ITEM,
    "57014": Fault.ITEM,
    "XX000": Fault.ITEM,
}
OF_A_CONNECTION = ("LOADING", "NOAUTH", "WRONGPASS")  # never of a command in a transaction
REPLIES = {word: fault for word, fault in faults.REDIS_WORDS.items() if word not in ("ASK", "MOVED")}


def fault_of(call: Callable[[], Any]) -> Fault | None:
    try:
        call()
    except (DBAPIError, psycopg2.Error, PoolTimeoutError, RedisError) as error:
        return judge(error)
    raise AssertionError("it did not fail")


def raised(connection: Connection, code: str) -> Callable[[], Any]:
    return lambda: connection.exec_driver_sql(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$")


# Postgres


def test_every_row_of_the_table_has_an_example() -> None:
    examples = set(SQLSTATES) | {code[:2] for code in SQLSTATES}
    assert set(faults.SQLSTATES) <= examples


@pytest.mark.parametrize(("code", "fault"), SQLSTATES.items())
def test_postgres_is_judged_by_its_code(code: str, fault: Fault) -> None:
    with engine().connect() as connection:
        assert fault_of(raised(connection, code)) is fault


def test_a_read_only_session_is_thrown_away_and_another_takes_the_write() -> None:
    """As after a failover: the pool holds sessions of what is a standby now."""
    write = "INSERT INTO conversations (id, key) VALUES (nextval('lane_ids'), gen_random_uuid()::text)"
    with engine().connect() as first, engine().connect() as second:
        for connection in (first, second):
            connection.exec_driver_sql("SET default_transaction_read_only = on")
            connection.commit()

    def insert() -> None:
        with engine().begin() as connection:
            connection.exec_driver_sql(write)

    assert fault_of(insert) is Fault.CONNECTION
    insert()  # both have left the pool


def test_a_prepared_statement_too_throws_a_read_only_session_away() -> None:
    add = "PREPARE add_one (bigint) AS INSERT INTO conversations (id, key) VALUES ($1, 'one')"
    with engine().connect() as connection:
        connection.exec_driver_sql("SET default_transaction_read_only = on")
        connection.commit()

    def insert() -> None:
        with engine().connect() as connection:
            Prepared(connection).rows(add, 1)
            connection.commit()

    retry_on_stale_connection(insert)
    with engine().connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM conversations")) == 1


def test_a_terminated_session_is_this_connection_alone() -> None:
    with engine().connect() as connection, engine().connect() as other:
        pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        other.exec_driver_sql("SELECT pg_terminate_backend(%s)", (pid,))
        assert fault_of(lambda: connection.exec_driver_sql("SELECT 1")) is Fault.CONNECTION
        assert other.exec_driver_sql("SELECT 1").scalar() == 1


def test_statements_that_a_handler_deallocated_are_prepared_on_another_connection() -> None:
    twice = "PREPARE twice (int) AS SELECT $1 * 2"

    def rows() -> Any:
        with engine().connect() as connection:
            return Prepared(connection).rows(twice, 2)

    rows()
    with engine().connect() as connection:
        connection.exec_driver_sql("DEALLOCATE ALL")
        connection.commit()
    assert fault_of(rows) is Fault.CONNECTION
    assert rows() == [(4,)]


def test_a_statement_that_is_prepared_already_is_this_connection() -> None:
    with engine().connect() as connection:
        connection.exec_driver_sql("PREPARE twice (int) AS SELECT $1")
        assert fault_of(lambda: Prepared(connection).rows("PREPARE twice (int) AS SELECT $1 * 2", 2)) is (
            Fault.CONNECTION
        )


def test_a_plan_whose_table_was_changed_by_a_migration_is_this_connection() -> None:
    with engine().connect() as connection, engine().connect() as other:
        other.exec_driver_sql("CREATE TABLE changing (id int)")
        other.commit()
        every = "PREPARE every_one (int) AS SELECT * FROM changing WHERE id > $1"
        Prepared(connection).rows(every, 0)
        connection.commit()
        other.exec_driver_sql("ALTER TABLE changing ADD COLUMN more int")
        other.commit()
        with pytest.raises(DBAPIError) as error:
            Prepared(connection).rows(every, 0)
        assert sqlstate(error.value) == "0A000"
        assert judge(error.value) is Fault.CONNECTION


def test_a_lock_that_is_not_to_be_had_and_a_deadlock_are_tried_again() -> None:
    with engine().connect() as connection, engine().connect() as other:
        other.exec_driver_sql("LOCK TABLE conversations")
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10ms'")
        assert fault_of(lambda: connection.exec_driver_sql("LOCK TABLE conversations")) is Fault.AGAIN


def test_a_statement_that_takes_too_long_is_the_items_fault() -> None:
    with engine().connect() as connection:
        connection.exec_driver_sql("SET LOCAL statement_timeout = '10ms'")
        assert fault_of(lambda: connection.exec_driver_sql("SELECT pg_sleep(60)")) is Fault.ITEM


def test_a_server_that_is_not_there_or_full_is_away(database_url: str) -> None:
    nobody = create_engine("postgresql+psycopg2://postgres@/test?host=/nowhere")
    assert fault_of(nobody.connect) is Fault.AWAY
    lost = create_engine(
        database_url.replace("/test_", "/lost_").replace("postgresql:", "postgresql+psycopg2:")
    )
    assert fault_of(lost.connect) is Fault.AWAY


def test_a_pool_whose_connections_are_all_in_use_is_away(database_url: str) -> None:
    url = database_url.replace("postgresql:", "postgresql+psycopg2:")
    small = create_engine(url, pool_size=1, max_overflow=0, pool_timeout=0.01)
    with small.connect():
        assert fault_of(small.connect) is Fault.AWAY
    small.dispose()


def test_what_is_no_error_of_a_store_is_not_judged() -> None:
    assert judge(ValueError("NUL")) is None
    assert judge(OSError()) is None


# Redis


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    with Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client:
        yield client


@pytest.fixture
def configured(redis: "Redis") -> Iterator[Callable[..., None]]:
    """Sets options of the server, and puts them back."""
    before: dict[str, str | None] = {}

    def configure(**options: str) -> None:
        for name, value in options.items():
            option = name.replace("_", "-")
            before[option] = redis.config_get(option)[option]
            redis.config_set(option, value)

    yield configure
    for option, value in before.items():
        redis.config_set(option, value)


@pytest.mark.parametrize(("word", "fault"), REPLIES.items())
def test_redis_is_judged_by_the_first_word_of_its_answer(redis: "Redis", word: str, fault: Fault) -> None:
    script = f"return redis.error_reply('{word} as the server says it')"
    assert fault_of(lambda: redis.eval(script, 0)) is fault
    if word not in OF_A_CONNECTION:
        pipe = redis.pipeline().set("fine", 1).eval(script, 0)
        assert fault_of(pipe.execute) is fault


@pytest.mark.parametrize("word", ["ASK", "MOVED"])
def test_a_cluster_that_points_elsewhere_is_away(redis: "Redis", word: str) -> None:
    script = f"return redis.error_reply('{word} 3999 127.0.0.1:6381')"
    assert fault_of(lambda: redis.eval(script, 0)) is Fault.AWAY


def test_a_standby_is_this_connection_also_within_a_script(redis: "Redis") -> None:
    redis.replicaof("127.0.0.1", "1")
    try:
        assert fault_of(lambda: redis.set("key", 1)) is Fault.CONNECTION
        assert fault_of(lambda: redis.eval("return redis.call('SET', 'key', 1)", 0)) is Fault.CONNECTION
    finally:
        redis.replicaof("NO", "ONE")


def test_a_standby_without_its_primary_is_away(redis: "Redis", configured: Callable[..., None]) -> None:
    configured(replica_serve_stale_data="no")
    redis.replicaof("127.0.0.1", "1")
    try:
        assert fault_of(lambda: redis.get("key")) is Fault.AWAY
    finally:
        redis.replicaof("NO", "ONE")


def test_a_redis_that_is_full_is_away(redis: "Redis", configured: Callable[..., None]) -> None:
    configured(maxmemory="1", maxmemory_policy="noeviction")
    assert fault_of(lambda: redis.set("key", 1)) is Fault.AWAY
    assert fault_of(lambda: redis.eval("return redis.call('SET', 'key', 1)", 0)) is Fault.AWAY


def test_a_redis_that_lacks_replicas_is_away(redis: "Redis", configured: Callable[..., None]) -> None:
    configured(min_replicas_to_write="1")
    assert fault_of(lambda: redis.set("key", 1)) is Fault.AWAY


def test_a_wrong_password_and_a_missing_right_are_away(redis: "Redis", redis_url: str) -> None:
    redis.acl_setuser("narrow", enabled=True, passwords=["+word"], commands=["+get"], keys=["*"], reset=True)
    address = redis_url.rpartition("@")[2]
    try:
        for credentials in ("narrow:word@", "narrow:wrong@", ""):
            with Redis.from_url(f"redis://{credentials}{address}", retry=Retry(NoBackoff(), 0)) as client:
                assert fault_of(lambda client=client: client.set("key", 1)) is Fault.AWAY  # type: ignore[misc]
    finally:
        redis.acl_deluser("narrow")


def test_a_script_that_redis_has_lost_and_a_watched_key_that_changed_are_tried_again(redis: "Redis") -> None:
    assert fault_of(lambda: redis.evalsha("0" * 40, 0)) is Fault.AGAIN
    with redis.pipeline() as pipe:
        pipe.watch("key")  # type: ignore[no-untyped-call]
        redis.set("key", 1)
        pipe.multi()
        pipe.set("key", 2)
        assert fault_of(pipe.execute) is Fault.AGAIN


def test_a_redis_that_does_not_answer_is_away() -> None:
    assert fault_of(Redis.from_url("redis://127.0.0.1:1", retry=Retry(NoBackoff(), 0)).ping) is Fault.AWAY


def test_a_key_of_another_type_is_the_items_fault(redis: "Redis") -> None:
    redis.set("key", 1)
    assert fault_of(lambda: redis.lpush("key", 1)) is Fault.ITEM
