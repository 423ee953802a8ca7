"""Take a person's names out of the rows that are about others: a contact card, a group, an error, a reason."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Table, Text, text

from app.erasure.statements import KEEP_DIGESTS
from app.erasure.traces import NAMED_IN, Traces, digest
from app.stores import Base

# These hold no text of anybody's: digests, and the names of our own things
WITHOUT_TEXT = ("erased_keys", "lane_names", "stopped_numbers")
EVENTS = "events"
OURS = "app.stores."


def redact(connection: Connection, traces: Traces) -> int:
    """Rewrite every text of every table of ours that names the person; return how many rows were."""
    return sum(_redact_table(connection, table, traces) for table in tables())


def tables() -> Sequence[Table]:
    """Return our tables that hold text; not those of handlers, whose classes may have the same base."""
    ours = {
        mapper.local_table for mapper in Base.registry.mappers if mapper.class_.__module__.startswith(OURS)
    }
    return [
        table for table in Base.metadata.sorted_tables if table in ours and table.name not in WITHOUT_TEXT
    ]


def is_ours(name: str) -> bool:
    """Return whether a table is one of ours."""
    return name in {table.name for table in tables()} | {*WITHOUT_TEXT, "alembic_version"}


def columns(table: Table) -> list[str]:
    """Return the names of a table's columns of text."""
    return [column.name for column in table.columns if isinstance(column.type, Text)]


def _redact_table(connection: Connection, table: Table, traces: Traces) -> int:
    changed = 0
    for row in _named(connection, table, traces):
        new = {name: traces.without(row[name]) for name in columns(table) if row[name] is not None}
        if table.name == EVENTS:  # what Meta repeats of it would bring the names back
            connection.execute(KEEP_DIGESTS, {"digests": [digest(row["key"])]})
            if new["key"] != row["key"]:
                new["key"] = f"{row['key'].partition(':')[0]}:~{digest(row['key'])}"
        new = {name: value for name, value in new.items() if value != row[name]}
        where = " AND ".join(f"{column.name} = :old_{column.name}" for column in table.primary_key)
        olds = {f"old_{column.name}": row[column.name] for column in table.primary_key}
        sets = ", ".join(f"{name} = :{name}" for name in new)
        if new:
            connection.execute(text(f"UPDATE {table.name} SET {sets} WHERE {where}"), {**new, **olds})  # noqa: S608
            changed += 1
    return changed


def _named(connection: Connection, table: Table, traces: Traces) -> Iterator[Any]:
    names = columns(table)
    if not names:
        return
    condition = " OR ".join(NAMED_IN.format(text=name) for name in names)
    keys = {column.name for column in table.primary_key}
    listed = ", ".join(sorted({*names, *keys}))
    found = text(f"SELECT {listed} FROM {table.name} WHERE {condition}")  # noqa: S608
    yield from connection.execute(found, traces.parameters).mappings().all()
