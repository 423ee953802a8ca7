"""Look whether anything is left of a person: in every text of every table, also those of handlers, and all of Redis."""

from dataclasses import dataclass

from redis import Redis
from sqlalchemy import Connection, Engine, text

from app.erasure import redis_traces
from app.erasure.erasure import load_traces, patient
from app.erasure.person import ErasedPerson
from app.erasure.redaction import is_ours
from app.erasure.traces import NAMED_IN, Traces

COLUMNS = text("""
SELECT c.table_name, c.column_name, c.data_type
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = ANY(current_schemas(false)) AND t.table_type = 'BASE TABLE'
  AND (c.data_type IN ('text', 'character varying', 'character', 'json', 'jsonb', 'bytea', 'ARRAY', 'bigint', 'numeric')
       OR c.udt_name IN ('citext', 'hstore'))
ORDER BY 1, 2
""")
NUMBERS = ("bigint", "numeric")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person is named still, and in how many rows."""

    name: str
    rows: int
    ours: bool  # not a table of handlers


def look(engine: Engine, redis: "Redis", person: ErasedPerson) -> list[Place]:
    """Return every place that names the person or one of their messages. Reads all of both stores."""
    with patient(engine) as connection:
        traces = load_traces(connection, person)
        places = [
            place
            for table, column, kind in connection.execute(COLUMNS).all()
            if (place := _look_at(connection, traces, table, column, kind)) is not None
        ]
    return [*places, *(Place(key, 1, True) for key in redis_traces.find(redis, traces))]


def _look_at(connection: Connection, traces: Traces, table: str, column: str, kind: str) -> Place | None:
    ours = is_ours(table)
    if ours and kind in NUMBERS:  # our numbers are our own
        return None
    quoted = '"' + column.replace('"', '""') + '"'
    value = f"encode({quoted}, 'escape')" if kind == "bytea" else f"CAST({quoted} AS text)"
    condition = NAMED_IN.format(text=value)
    name = '"' + table.replace('"', '""') + '"'
    found = text(f"SELECT count(*) FROM {name} WHERE {condition}")  # noqa: S608
    rows = int(connection.execute(found, traces.parameters).scalar_one())
    return Place(f"{table}.{column}", rows, ours) if rows else None
