"""Prepared statements: planned once a connection, and again when the tables may have grown."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from app.stores import prepared
from app.stores.connections import engine
from app.stores.prepared import Prepared

TWICE = "PREPARE twice (int, text) AS SELECT $1 * 2, $2"
ADD = "PREPARE add_one (int) AS INSERT INTO conversations (id, key) VALUES ($1, 'one')"
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE name = 'twice'"
LAST = "SELECT query FROM pg_stat_activity WHERE pid = %s"
END = "SELECT pg_terminate_backend(%s)"

pytestmark = pytest.mark.usefixtures("settings")


def test_a_statement_is_prepared_when_it_is_first_asked_for_and_once() -> None:
    for number in (1, 2):
        with engine().connect() as connection:  # the same one, out of the pool
            assert Prepared(connection).rows(TWICE, number, "it's") == [(2 * number, "it's")]
            assert connection.scalar(text(PREPARED)) == 1


def test_it_is_part_of_the_transaction_and_outlives_it() -> None:
    ids = text("SELECT id FROM conversations ORDER BY id")
    with engine().connect() as connection, engine().connect() as other:
        assert Prepared(connection).rows(ADD, 7) == []
        assert connection.scalars(ids).all() == [7]
        connection.rollback()
        Prepared(connection).rows(ADD, 8)
        assert connection.scalars(ids).all() == [8]
        assert other.scalars(ids).all() == []


def test_what_it_alone_did_on_a_connection_is_committed_with_it() -> None:
    with engine().connect() as connection:
        Prepared(connection).rows(ADD, 7)
        connection.commit()
    with engine().connect() as connection:
        assert connection.scalar(text("SELECT id FROM conversations")) == 7


class Recording:
    """A cursor that notes the statements it is given."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.statements: list[str] = []

    def execute(self, statement: str, *parameters: Any) -> None:
        self.statements.append(statement)
        self._cursor.execute(statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def test_plans_are_discarded_once_they_are_old_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    with engine().connect() as connection:
        statements = Prepared(connection)
        statements._cursor = recording = Recording(statements._cursor)
        statements.rows(TWICE, 1, "")
        monkeypatch.setattr(prepared, "PLANS_SECONDS", -1)
        assert "DISCARD PLANS" not in recording.statements
        assert statements.rows(TWICE, 1, "") == [(2, "")]
        assert "DISCARD PLANS" in recording.statements


def test_making_one_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "PLANS_SECONDS", -1)
    with engine().connect() as connection, engine().connect() as other:
        pid = connection.connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        connection.scalar(text("SELECT 'before'"))
        Prepared(connection)
        assert other.exec_driver_sql(LAST, (pid,)).scalar_one() == "SELECT 'before'"


def test_what_postgres_refuses_is_an_error_of_sqlalchemy_with_its_code() -> None:
    with engine().connect() as connection, pytest.raises(DBAPIError) as refused:
        Prepared(connection).rows("PREPARE broken (int) AS SELECT 1 / $1", 0)
    assert refused.value.orig is not None
    assert refused.value.orig.pgcode == "22012"
    assert not refused.value.connection_invalidated


def test_a_statement_that_cannot_be_prepared_is_not_taken_for_one_that_is() -> None:
    for _ in range(2):
        with engine().connect() as connection, pytest.raises(ProgrammingError, match="nowhere"):
            Prepared(connection).rows("PREPARE lost (int) AS SELECT $1 FROM nowhere", 1)


def test_a_connection_that_died_leaves_the_pool() -> None:
    with engine().connect() as connection, engine().connect() as other:
        pid = connection.connection.driver_connection.info.backend_pid
        other.exec_driver_sql(END, (pid,))
        with pytest.raises(OperationalError) as died:
            Prepared(connection).rows(TWICE, 1, "")
        assert died.value.connection_invalidated
    with engine().connect() as connection:
        assert Prepared(connection).rows(TWICE, 1, "") == [(2, "")]


def test_what_is_no_prepare_is_refused() -> None:
    with engine().connect() as connection, pytest.raises(ValueError, match="PREPARE name"):
        Prepared(connection).rows("SELECT 1")
