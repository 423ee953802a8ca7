"""Rows for a statement as one parameter: ``json_to_recordset($1) AS incoming (column type, ...)``.

psycopg2 writes a list into the statement's text value by value, and Postgres reads each as an expression of its
own: with a dozen columns that is most of what an insert costs.
"""

from collections.abc import Sequence
from typing import Any

import orjson


def recordset(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of text, numbers, times and UUIDs, each by its column's name; None is NULL.

    Raises ValueError for half a surrogate pair.
    """
    try:
        return orjson.dumps(rows).decode()
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from error


def bytea(value: bytes | None) -> str | None:
    """Bytes as Postgres reads them in a text."""
    return None if value is None else f"\\x{value.hex()}"
