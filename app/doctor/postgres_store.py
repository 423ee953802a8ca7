"""Examine Postgres: what it keeps, who it is, its tables, connections, vacuum, and what stands before it."""

import time
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.doctor.finding import Finding, Level
from app.doctor.redis_store import MOST_FULL, clock
from app.stores import SERVER_KEEPALIVE, schema_state
from config.logging import describe

OLDEST_VERSION = 14
OLD_TRANSACTION_SECONDS = 600
MIN_DEAD_ROWS = 100_000
DEAD_SHARE = 0.2
MAX_AGE = 1_000_000_000  # transactions: at 2 billion Postgres takes no more writes
SLOT_BYTES = 1 << 30

SERVER = text("""
SELECT current_setting('server_version_num')::int / 10000 AS version, pg_is_in_recovery() AS recovering,
       current_setting('default_transaction_read_only') AS read_only, current_setting('fsync') AS fsync,
       current_setting('full_page_writes') AS full_page_writes, current_setting('autovacuum') AS autovacuum,
       current_setting('max_connections')::int AS most, (SELECT count(*) FROM pg_stat_activity) AS connections,
       (SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()) AS age,
       extract(epoch FROM clock_timestamp())::float AS now
""")
OLDEST = text("""
SELECT pid, application_name, extract(epoch FROM clock_timestamp() - xact_start)::float AS seconds
FROM pg_stat_activity
WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
ORDER BY xact_start LIMIT 1
""")
DEAD = text("""
SELECT relname, n_live_tup AS live, n_dead_tup AS dead FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND n_dead_tup > :at_least AND n_dead_tup > :share * (n_live_tup + n_dead_tup)
ORDER BY n_dead_tup DESC LIMIT 3
""")
INVALID = text("""
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT i.indisvalid AND n.nspname = current_schema() ORDER BY 1
""")
SLOTS = text("""
SELECT slot_name FROM pg_replication_slots
WHERE NOT active AND NOT pg_is_in_recovery() AND restart_lsn IS NOT NULL
  AND pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn) > :bytes
""")
BACKEND = text("SELECT pg_backend_pid()")
GIVEN_OPTION = "client_connection_check_interval"
# What PgBouncer says where it is not to pass on the options of a session, or hands out statements
REFUSALS_OF_POOLERS = ("unsupported startup parameter", "pooling mode")
POOLERS_FIX = (
    "let DATABASE_URL lead to Postgres itself, or to a pooler that hands on whole sessions with their options"
)


def examine(engine: Engine) -> Iterator[Finding]:
    """Yield what is wrong with Postgres."""
    try:
        with engine.connect() as connection:
            yield from _server(connection)
            yield from _tables(connection)
            yield from _activity(connection)
        yield from _pooler(engine)
    except SQLAlchemyError as error:
        said = describe(getattr(error, "orig", None) or error).strip()
        if any(refusal in said for refusal in REFUSALS_OF_POOLERS):
            yield Finding(
                "postgres_pooler",
                f"DATABASE_URL leads to a pooler that refuses Neverdrop's sessions: {said}",
                "deliveries are safe in the journal; nothing is split or run",
                POOLERS_FIX,
            )
            return
        yield Finding(
            "database_down",
            f"Postgres does not answer: {said}",
            "deliveries are safe in the journal; nothing is split or run",
            "start it, or let DATABASE_URL lead to it",
        )


def _pooler(engine: Engine) -> Iterator[Finding]:
    if pools_transactions(engine):
        yield Finding(
            "postgres_pooler",
            "DATABASE_URL leads through a pooler that gives each transaction another session",
            "prepared statements and settings of a session are lost between transactions: statements fail",
            POOLERS_FIX,
        )
    elif ignores_options(engine):
        yield Finding(
            "postgres_pooler",
            "DATABASE_URL leads through a pooler that leaves out the options of each session",
            "a role's statement_timeout or a database's synchronous_commit = off decides what is kept, and a lost"
            " client keeps its locks",
            POOLERS_FIX,
        )


def ignores_options(engine: Engine) -> bool:
    """Return whether a session has not what it was opened with."""
    with engine.connect() as connection:
        setting = connection.exec_driver_sql(f"SHOW {GIVEN_OPTION}").scalar_one()
    return bool(setting != SERVER_KEEPALIVE[GIVEN_OPTION])


def pools_transactions(engine: Engine) -> bool:
    """Return whether a session changes under a client while another one is busy."""
    with engine.connect() as one, engine.connect() as other:
        with one.begin():
            first = one.execute(BACKEND).scalar_one()
        with other.begin():  # a pooler gives it the session that has just become free
            other.execute(BACKEND)
            with one.begin():
                return bool(one.execute(BACKEND).scalar_one() != first)


def _server(connection: Connection) -> Iterator[Finding]:
    server = connection.execute(SERVER).one()
    if server.version < OLDEST_VERSION:
        yield Finding(
            "postgres_version",
            f"Postgres is {server.version}",
            f"Neverdrop needs {OLDEST_VERSION} or later",
            "upgrade it",
        )
    if server.recovering or server.read_only == "on":
        yield Finding(
            "read_only",
            "DATABASE_URL leads to a server that only reads",
            "nothing is split or run",
            "let it lead to the primary",
        )
    for name in ("fsync", "full_page_writes"):
        if getattr(server, name) == "off":
            yield Finding(
                "postgres_durability",
                f"Postgres has {name}=off",
                "a crash of its machine may lose all of it",
                f"set {name} to on",
            )
    if server.autovacuum == "off":
        yield Finding(
            "postgres_vacuum",
            "autovacuum is off",
            "tables grow without end, and in the end Postgres takes no more writes",
            "set autovacuum to on",
        )
    if server.age > MAX_AGE:
        yield Finding(
            "postgres_vacuum",
            f"the oldest row is {server.age:,} transactions old",
            "at two billion Postgres takes no more writes",
            "VACUUM (FREEZE) the database at a quiet hour, and end what keeps autovacuum from it",
        )
    if server.connections > MOST_FULL * server.most:
        yield Finding(
            "postgres_connections",
            f"{server.connections} of {server.most} connections are taken",
            "processes that start would get none",
            "raise max_connections, or run fewer processes: each takes one or two",
        )
    yield from clock("postgres_clock", "Postgres", server.now - time.time())


def _tables(connection: Connection) -> Iterator[Finding]:
    state = schema_state(connection)
    if state:
        yield Finding("schema", state, "processes of this release wait, or fail", "run `neverdrop migrate`")
    for row in connection.execute(INVALID):
        yield Finding(
            "postgres_indexes",
            f"the index {row.relname} is not valid",
            "it is written and never used: queries read whole tables",
            f"REINDEX INDEX CONCURRENTLY {row.relname}",
        )


def _activity(connection: Connection) -> Iterator[Finding]:
    oldest = connection.execute(OLDEST).first()
    if oldest is not None and oldest.seconds > OLD_TRANSACTION_SECONDS:
        yield Finding(
            "postgres_transaction",
            f"a transaction of {oldest.application_name or 'nobody'} (process {oldest.pid}) is open for"
            f" {oldest.seconds / 60:.0f} minutes",
            "vacuum can remove nothing that is younger: tables grow and queries become slow",
            f"end it where it comes from, or SELECT pg_terminate_backend({oldest.pid})",
            Level.ADVICE,
        )
    for row in connection.execute(DEAD, {"at_least": MIN_DEAD_ROWS, "share": DEAD_SHARE}):
        yield Finding(
            "postgres_vacuum",
            f"the table {row.relname} has {row.dead:,} dead rows beside {row.live:,}",
            "queries read past them",
            f"VACUUM {row.relname}; an open transaction or an unused replication slot may hold it up",
            Level.ADVICE,
        )
    for row in connection.execute(SLOTS, {"bytes": SLOT_BYTES}):
        yield Finding(
            "postgres_replication",
            f"nobody reads from the replication slot {row.slot_name}",
            "Postgres keeps its log for it until the disk is full",
            f"start its standby, or SELECT pg_drop_replication_slot('{row.slot_name}')",
        )
