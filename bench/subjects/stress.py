"""What the cells of ``bench.cells`` do to the pipeline: generators that act at every tick until they are closed."""

import contextlib
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from typing import Any

import psycopg2

from app.dev.processes.children import Records, end
from app.dev.stack.embedded import launch, postgres
from bench.subjects.cluster import Cluster

TICK_SECONDS = 0.5
IDLE_CONNECTIONS = 300  # as many as are given
READERS = 4
KILL_EVERY_TICKS = 20
VICTIM = "worker2"
OWN_NAME = "bench"
TERMINATE_ONE = """
SELECT pg_terminate_backend(pid) FROM (
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type = 'client backend' AND application_name <> 'bench'
  ORDER BY random() LIMIT 1
) AS other
"""
HOT_TABLES = ("jobs", "outcomes", "events", "lanes")

Acting = Generator[None]
Stress = Callable[[Cluster, float], Acting]  # called with the seconds that it lasts


def nothing(_cluster: Cluster, _seconds: float) -> Acting:
    """Only the load changes."""
    while True:
        yield


def kill_worker(cluster: Cluster, _seconds: float) -> Acting:
    """Kill a worker with its pool, and start it again at the end."""
    cluster.supervisor.disable_restart(VICTIM)
    cluster.supervisor[VICTIM].send_all(signal.SIGKILL)
    try:
        while True:
            yield
    finally:
        cluster.supervisor.enable_restart(VICTIM)


def kill_again_and_again(cluster: Cluster, _seconds: float) -> Acting:
    """Kill a worker with its pool every ten seconds; it is started again each time."""
    while True:
        cluster.supervisor[VICTIM].send_all(signal.SIGKILL)
        for _ in range(KILL_EVERY_TICKS):
            yield


def restart_postgres(cluster: Cluster, seconds: float) -> Acting:
    """Stop Postgres for half of the time."""
    stores = cluster.stores
    end([stores.running["postgres"]])
    for _ in range(int(seconds / 2 / TICK_SECONDS)):
        yield
    server = postgres(stores.path / "postgres")
    stores.running["postgres"] = launch(server, Records.of_this_process(stores.path), stores.path)
    while True:
        yield


def terminate_backends(cluster: Cluster, _seconds: float) -> Acting:
    """End two of the pipeline's connections a second from the server's side."""
    with connected(cluster.stores.database_url) as connection, connection.cursor() as cursor:
        while True:
            cursor.execute(TERMINATE_ONE)
            yield


def exhaust_connections(cluster: Cluster, _seconds: float) -> Acting:
    """Hold every connection that Postgres gives."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(psycopg2.OperationalError):  # no more are given
            for _ in range(IDLE_CONNECTIONS):
                held.enter_context(connected(cluster.stores.database_url))
        while True:
            yield


def idle_in_transaction(cluster: Cluster, _seconds: float) -> Acting:
    """Hold a transaction open that has written: vacuum removes nothing that was deleted since."""
    with connected(cluster.stores.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN; SELECT txid_current()")
        while True:
            yield


def read_all(cluster: Cluster, _seconds: float) -> Acting:
    """Read the hot tables from beginning to end, again and again, in four transactions that see one moment."""
    ended = threading.Event()
    threads = [threading.Thread(target=_read, args=(cluster, ended), daemon=True) for _ in range(READERS)]
    for thread in threads:
        thread.start()
    try:
        while True:
            yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def _read(cluster: Cluster, ended: threading.Event) -> None:
    with connected(cluster.stores.database_url) as connection, connection.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        while not ended.is_set():
            for table in HOT_TABLES:
                cursor.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  (our own names)


@contextlib.contextmanager
def connected(url: str) -> Iterator[Any]:
    """Connect as one whose connection is not terminated."""
    connection: Any = psycopg2.connect(url, application_name=OWN_NAME)
    connection.autocommit = True
    try:
        yield connection
    finally:
        connection.close()
