"""What a database holds at a moment, to be put back: in a hundredth of the time that copying it takes."""

from sqlalchemy import Connection, Engine, text

SCHEMA = "neverdrop_snapshot"
TABLES = text("""
SELECT c.table_name, string_agg(quote_ident(c.column_name), ', ' ORDER BY c.ordinal_position)
FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
GROUP BY c.table_name ORDER BY c.table_name
""")
SEQUENCES = text("""
SELECT format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value), last_value IS NOT NULL
FROM pg_sequences WHERE schemaname = 'public'
""")
# Of rows that refer to each other
IN_ANY_ORDER = "SET LOCAL session_replication_role = replica"


class Snapshot:
    """The rows of all tables, and where the sequences are."""

    def __init__(self, engine: Engine) -> None:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
            self._rows = "".join(self._keep(connection, *table) for table in _tables(connection))
            self._sequences = "".join(
                f"SELECT setval('{name}', {value}, {called});"
                for name, value, called in connection.execute(SEQUENCES)
            )

    def _keep(self, connection: Connection, table: str, columns: str) -> str:
        """Copy a table; return the statement that puts its rows back, "" for none."""
        kept = connection.execute(
            text(f'CREATE TABLE {SCHEMA}."{table}" AS SELECT {columns} FROM public."{table}"')  # noqa: S608
        )
        if not kept.rowcount:
            return ""
        into = f'INSERT INTO public."{table}" ({columns}) OVERRIDING SYSTEM VALUE'
        return f'{into} SELECT {columns} FROM {SCHEMA}."{table}";'  # noqa: S608

    def restore(self, engine: Engine) -> None:
        """Put everything back; a table that has come since is emptied."""
        with engine.begin() as connection:
            emptied = "".join(f'DELETE FROM public."{table}";' for table, _ in _tables(connection))  # noqa: S608
            connection.exec_driver_sql(f"{IN_ANY_ORDER};{emptied}{self._rows}{self._sequences}")


def _tables(connection: Connection) -> list[tuple[str, str]]:
    """Return (table, its columns) of each table."""
    return [(row[0], row[1]) for row in connection.execute(TABLES)]
