"""The tables of a bot's own, as the modules of its handlers know them."""

import sys
from collections.abc import Iterable, Iterator
from datetime import timedelta

from sqlalchemy import Connection, DateTime, MetaData, Table, inspect, select, update

from app.handlers import Registry
from app.stores import Base as NeverdropBase


def create_tables(connection: Connection, registry: Registry) -> None:
    """Create the tables of the models in the modules of these handlers that are not there yet."""
    for table in _tables_of(registry):
        table.metadata.create_all(connection, tables=[table])


def move_times(connection: Connection, registry: Registry, time: timedelta) -> None:
    """Move the times in these tables into the past."""
    present = inspect(connection).has_table
    for table in (each for each in _tables_of(registry) if present(each.name, each.schema)):
        keys = list(table.primary_key.columns)
        moved = [each for each in table.columns if isinstance(each.type, DateTime) and not each.primary_key]
        for row in connection.execute(select(table)).mappings() if moved and keys else ():
            values = {each: row[each] - time for each in moved if row[each] is not None}
            if values:
                connection.execute(update(table).where(*(key == row[key] for key in keys)).values(values))


def _tables_of(registry: Registry) -> list[Table]:
    """Return the tables that the modules of the handlers know, those that others refer to first."""
    metadatas: dict[MetaData, set[Table]] = {}
    for metadata, tables in _found(each.function.__module__ for _, each in registry.items()):
        metadatas.setdefault(metadata, set()).update(tables)
    return [
        table for metadata, known in metadatas.items() for table in metadata.sorted_tables if table in known
    ]


def _found(modules: Iterable[str]) -> Iterator[tuple[MetaData, Iterable[Table]]]:
    for name in sorted(set(modules)):
        for value in list(vars(sys.modules[name]).values()):
            metadata = value if isinstance(value, MetaData) else getattr(value, "metadata", None)
            if not isinstance(metadata, MetaData):
                continue
            if metadata is not NeverdropBase.metadata:
                yield metadata, metadata.tables.values()
            elif (table := getattr(value, "__table__", None)) is not None and value.__module__ == name:
                yield metadata, [table]
