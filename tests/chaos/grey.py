"""Faults in which no process dies: a store refuses, holds back or throws out, and is well again by itself.

Each is a generator as in ``faults``: it acts, yields the condition under which it goes on, and undoes what it did.
What it relies on: the cluster's Postgres role is a superuser.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg2

from app.stores.connections import redis
from tests.chaos.cluster import Cluster
from tests.chaos.schedule import Happened
from tests.chaos.steps import Steps, after

STATEMENT_TIMEOUT = "20ms"
ROWS_HELD = 8  # conversations, the hottest among them
MAX_SESSIONS = 500  # that are opened at most until the server refuses
FULL_BYTES = 1024**2  # less than Valkey takes when it is empty

OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


# While a handler does something else its session is idle in the transaction
IN_HANDLER = "state = 'idle in transaction' AND clock_timestamp() - state_change > interval '50 ms'"
IN_INGEST = "state IN ('active', 'idle in transaction') AND query LIKE '%ingest\\_%'"
TERMINATE = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'neverdrop' AND pid <> pg_backend_pid() AND {condition} LIMIT 1
"""
AIM_SECONDS = 20.0
LOOKS = 40


def terminate_sessions(cluster: Cluster, _event: Happened) -> Steps:
    """End every session of the pipeline, in handlers and in ingest too, as a failover does."""
    with _Session(cluster) as cursor:
        cursor.execute(OTHERS)
    yield from ()


def terminate_handler(cluster: Cluster, event: Happened) -> Steps:
    """End one session that is idle in the transaction of a handler."""
    yield from _terminated(cluster, event, IN_HANDLER)


def terminate_ingest(cluster: Cluster, event: Happened) -> Steps:
    """End one session that is storing bodies."""
    yield from _terminated(cluster, event, IN_INGEST)


def _terminated(cluster: Cluster, event: Happened, condition: str) -> Steps:
    """One session of the pipeline that meets a condition, as soon as there is one."""
    patient = after(AIM_SECONDS)
    with _Session(cluster) as cursor:
        yield lambda: _hit(cursor, condition) or patient()
    event.at = time.time()


def _hit(cursor: Any, condition: str) -> bool:
    """Look for it several times: an ingest stores for some milliseconds."""
    for _ in range(LOOKS):
        cursor.execute(TERMINATE.format(condition=condition))
        if cursor.fetchone():
            return True
    return False


def read_only(cluster: Cluster, event: Happened) -> Steps:
    """Every session reads only, as those that stay on the old node after a failover."""
    yield from _changed(cluster, event, "default_transaction_read_only", "on")


def statement_timeout(cluster: Cluster, event: Happened) -> Steps:
    """Statements are cancelled early, where a session does not say otherwise."""
    yield from _changed(cluster, event, "statement_timeout", STATEMENT_TIMEOUT)


def hold_rows(cluster: Cluster, event: Happened) -> Steps:
    """A session of somebody else is idle in a transaction that has locked rows."""
    with _Session(cluster) as cursor:
        cursor.execute("SET idle_in_transaction_session_timeout = 0")
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT id FROM lanes ORDER BY id LIMIT {ROWS_HELD} FOR UPDATE")
        cursor.execute("SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")
        yield after(event.fault.seconds)
        cursor.execute("ROLLBACK")


def exhaust_connections(cluster: Cluster, event: Happened) -> Steps:
    """Every session that the server grants is taken, and those of the pipeline are ended first."""
    taken: list[Any] = []
    with _Session(cluster) as cursor:
        cursor.execute(OTHERS)
        with suppress(psycopg2.OperationalError):
            while len(taken) < MAX_SESSIONS:
                taken.append(psycopg2.connect(cluster.servers["postgres"].url))
        yield after(event.fault.seconds)
    for connection in taken:
        connection.close()


def fill_redis(_cluster: Cluster, event: Happened) -> Steps:
    """Valkey has reached ``maxmemory`` and refuses every write."""
    client: Any = redis()
    before = client.config_get("maxmemory")["maxmemory"]
    client.config_set("maxmemory", FULL_BYTES)
    yield after(event.fault.seconds)
    client.config_set("maxmemory", before)


def _changed(cluster: Cluster, event: Happened, name: str, value: str) -> Steps:
    """A setting of the server is another one for a while, for sessions that are open too."""
    _configure(cluster, f"ALTER SYSTEM SET {name} = '{value}'")
    yield after(event.fault.seconds)
    _configure(cluster, f"ALTER SYSTEM RESET {name}")


def _configure(cluster: Cluster, statement: str) -> None:
    with _Session(cluster) as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute(statement)
        cursor.execute("SELECT pg_reload_conf()")


class _Session:
    """A cursor on a session of our own that commits by itself."""

    def __init__(self, cluster: Cluster) -> None:
        self._connection: Any = psycopg2.connect(cluster.servers["postgres"].url)
        self._connection.autocommit = True

    def __enter__(self) -> Any:
        return self._connection.cursor()

    def __exit__(self, *_: object) -> None:
        self._connection.close()


KINDS: dict[str, Callable[[Cluster, Happened], Steps]] = {
    "terminate_sessions": terminate_sessions,
    "terminate_handler": terminate_handler,
    "terminate_ingest": terminate_ingest,
    "read_only": read_only,
    "statement_timeout": statement_timeout,
    "hold_rows": hold_rows,
    "exhaust_connections": exhaust_connections,
    "fill_redis": fill_redis,
}
