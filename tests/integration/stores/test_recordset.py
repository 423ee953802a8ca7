"""Rows as one parameter arrive in Postgres as they left, whatever text is in them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import text

from app.stores.recordset import bytea, recordset
from config.settings import Settings
from tests.helpers.core import Core

AS_TEXT = text("SELECT value FROM json_to_recordset(CAST(:rows AS json)) AS incoming (value text)")


@pytest.mark.parametrize(
    "value", ["", 'a "quote" and a \\', "{1,2}", "NULL", "\x1f\x7f\n", ":name %s 🙂", None]
)
def test_a_text_arrives_as_it_left(settings: Settings, value: str | None) -> None:
    with Core().engine.connect() as connection:
        assert connection.execute(AS_TEXT, {"rows": recordset([{"value": value}])}).scalar_one() == value


def test_times_uuids_numbers_and_bytes_arrive_as_they_left(settings: Settings) -> None:
    id_, at, number = UUID(int=7), datetime(5138, 11, 16, 9, 46, 40, tzinfo=UTC), 2**63 - 1
    statement = text(
        "SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS i (a uuid, b timestamptz, c bigint, d bytea)"
    )
    rows = recordset([{"a": id_, "b": at, "c": number, "d": bytea(b"\x00\xff")}])
    with Core().engine.connect() as connection:
        row = connection.execute(statement, {"rows": rows}).one()
    assert (row.a, row.b, row.c, bytes(row.d)) == (id_, at, number, b"\x00\xff")


def test_rows_keep_their_order(settings: Settings) -> None:
    values = [str(number) for number in range(300)]
    with Core().engine.connect() as connection:
        found = connection.execute(AS_TEXT, {"rows": recordset([{"value": value} for value in values])})
        assert list(found.scalars()) == values


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        recordset([{"value": "\ud800"}])
