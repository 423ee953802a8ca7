"""Migrations may run from several releases at once, and again."""

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from app.stores.connections import engine
from app.stores.migrate import alembic_config, known_revisions, migrate
from app.stores.models import Base
from config.settings import Settings
from tests.helpers import services as servers
from tests.helpers.services import Services

migrate_module = importlib.import_module("app.stores.migrate")
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


def test_the_revisions_that_a_process_knows_are_those_of_the_migrations(settings: Settings) -> None:
    with engine().begin() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))
    assert {script.revision for script in scripts.walk_revisions()} == known_revisions()
    assert scripts.get_current_head() == max(known_revisions())


EVENTS_BEFORE = """
INSERT INTO events (key, delivery_id, position, lane, occurred_at, accepted_at, kind, type, payload, state, attempts,
                    handler, finished_at)
SELECT 'message:' || n, gen_random_uuid(), 0, 1 + n % 3, now(), now(), 'message', 'text', '{}',
       CAST((ARRAY['pending', 'done', 'dead', 'discarded'])[1 + n % 4] AS event_state), 2, 'bot.answer',
       CASE WHEN n % 4 > 0 THEN now() END
FROM generate_series(1, :count) AS n
"""
ATTEMPTS_BEFORE = """
INSERT INTO attempts (event_id, number, worker, started_at, finished_at, error)
SELECT id, number, 'worker', now(), now(), CASE WHEN number = 1 OR state <> 'done' THEN 'ValueError: no' END
FROM events CROSS JOIN (VALUES (1), (2)) AS a (number)
"""


def upgrade_to(revision: str) -> None:
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        command.upgrade(alembic_config(connection), revision)


def newest_revision() -> str | None:
    with engine().connect() as connection:
        return ScriptDirectory.from_config(alembic_config(connection)).get_current_head()


def execute(*statements: str, **parameters: Any) -> None:
    with engine().begin() as connection:
        for statement in statements:
            connection.execute(text(statement), parameters)


def value(statement: str) -> Any:
    with engine().connect() as connection:
        return connection.scalar(text(statement))


def test_statistics_of_the_states_that_an_older_release_gathered_are_dropped(empty: None) -> None:
    known = "SELECT count(*) FROM pg_stats WHERE tablename = 'events' AND attname = 'state'"
    upgrade_to("0003")
    execute(EVENTS_BEFORE, count=10)
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE events"))
    assert value(known) == 1
    upgrade_to("0004")
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE events"))
    assert value(known) == 0


def test_chains_of_merges_that_earlier_releases_left_are_flattened(empty: None) -> None:
    upgrade_to("0004")
    execute(
        "INSERT INTO conversations (id, key, merged_into) VALUES (1, 'a', 2), (2, 'b', 3), (3, 'c', NULL)"
    )
    migrate()
    assert value("SELECT array_agg(merged_into ORDER BY id) FROM lanes") == [3, 3, None]


def test_events_of_the_release_before_become_jobs_and_outcomes_with_their_attempts(
    empty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate_module, "EVENTS_A_PART", 3)
    upgrade_to("0009")
    execute("INSERT INTO conversations (id, key) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    execute(EVENTS_BEFORE, ATTEMPTS_BEFORE, count=20)
    states = (
        "SELECT json_object_agg(state, count) FROM (SELECT state, count(*) FROM {} GROUP BY 1) AS counted"
    )
    before = value(states.format("events"))
    attempts = "SELECT json_agg(a ORDER BY 1, 2) FROM (SELECT {}, number, error FROM {} ORDER BY 1, 2) AS a"
    attempts_before = value(attempts.format("event_id AS id", "attempts"))
    assert migrate()
    assert value("SELECT version_num FROM alembic_version") == newest_revision()
    assert value(states.format("event_jobs")) == before
    assert value(attempts.format("job_id AS id", "job_attempts")) == attempts_before
    assert not migrate(contract=True)
    assert value(states.format("event_jobs")) == before


def test_what_the_release_before_stores_beside_this_one_becomes_jobs(empty: None) -> None:
    upgrade_to("0009")
    execute(EVENTS_BEFORE, count=1)
    migrate()
    execute("INSERT INTO conversations (id, key) VALUES (1, 'a'), (2, 'b')")
    execute("UPDATE conversations SET paused_at = now(), paused_by = 'ada' WHERE id = 2")
    insert = EVENTS_BEFORE.replace("'message:'", "'later:'")
    execute(insert + " ON CONFLICT DO NOTHING", insert + " ON CONFLICT DO NOTHING", count=4)
    assert value("SELECT array_agg(lane ORDER BY id) FROM jobs") == [2]
    assert value("SELECT count(*) FROM outcomes WHERE id > 1") == 3
    assert value("SELECT paused_by FROM lanes WHERE id = 2") == "ada"
    execute("UPDATE conversations SET merged_into = 1 WHERE id = 2")
    assert value("SELECT lane FROM jobs") == 1
