"""Migrations may run from several releases at once, and again."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from sqlalchemy import inspect, text

from app.stores.connections import engine
from app.stores.migrate import alembic_config, migrate
from app.stores.models import Base
from config.settings import Settings
from tests.helpers import services as servers
from tests.helpers.rows import add_events
from tests.helpers.services import Services

EMPTY = "empty_neverdrop"


@pytest.fixture
def empty(services: Services, env: Callable[..., Settings]) -> Iterator[None]:
    """A database without any table."""
    servers.execute(services.postgres_url, f"CREATE DATABASE {EMPTY}")
    env(DATABASE_URL=servers.database(services.postgres_url, EMPTY))
    yield
    servers.execute(services.postgres_url, f"DROP DATABASE {EMPTY} WITH (FORCE)")


def test_two_that_migrate_at_once_make_the_tables_once(empty: None) -> None:
    with ThreadPoolExecutor() as threads:
        for done in [threads.submit(migrate) for _ in range(2)]:
            done.result()
    assert set(Base.metadata.tables) <= set(inspect(engine()).get_table_names())


def test_a_database_that_is_up_to_date_stays_as_it_is(settings: Settings) -> None:
    before = inspect(engine()).get_table_names()
    migrate()
    assert inspect(engine()).get_table_names() == before


def test_statistics_of_the_states_that_an_older_release_gathered_are_dropped(settings: Settings) -> None:
    known = "SELECT count(*) FROM pg_stats WHERE tablename = 'events' AND attname = 'state'"
    add_events(engine(), 10)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ALTER TABLE events ALTER COLUMN state SET STATISTICS -1"))
        connection.execute(text("ANALYZE events"))
        command.downgrade(alembic_config(connection), "0003")
        assert connection.scalar(text(known)) == 1
        migrate()
        connection.execute(text("ANALYZE events"))
        assert connection.scalar(text(known)) == 0
