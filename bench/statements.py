"""What one statement costs, by the way in which it is sent: ``python -m bench.statements``.

A statement of the shape that finds the head of a lane (two common table expressions, a lateral join, three
subqueries) runs on the real tables, with a backlog in them: through SQLAlchemy Core with its autocommit as an option of
each connection, through an engine of its own for autocommit, through psycopg2 alone, and prepared.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from sqlalchemy import create_engine, text

from bench.options import Options
from bench.subjects.catalog import NEVERDROP
from bench.subjects.stores import until
from bench.subjects.turn import Turn

EVENTS = 1_500
LANES = 500
INGEST_SECONDS = 600
WAITING_LANES = "SELECT DISTINCT lane FROM jobs"
HEAD = """
WITH root AS (
  SELECT coalesce((SELECT merged_into FROM lanes WHERE id = {lane}), {lane}) AS lane
), members AS (
  SELECT lane FROM root UNION ALL SELECT m.id FROM root JOIN lanes m ON m.merged_into = root.lane
), first AS (
  SELECT j.* FROM members CROSS JOIN LATERAL (
    SELECT * FROM jobs WHERE lane = members.lane AND (holds OR due_at <= clock_timestamp())
    ORDER BY occurred_at, delivery_id, position, id LIMIT 1
  ) j ORDER BY occurred_at, delivery_id, position, id LIMIT 1
)
SELECT j.id, e.key, e.kind, e.type, e.payload, root.lane, j.delivery_id, e.occurred_at, e.accepted_at, j.attempts,
       c.key AS conversation,
       ARRAY(SELECT m.id FROM lanes m WHERE m.merged_into = root.lane) AS merged,
       root.lane IN (SELECT lane FROM paused_lanes) AS paused,
       NOT EXISTS (SELECT FROM deliveries d WHERE d.state = 'stored' AND d.id < j.delivery_id) AS settled
FROM first j JOIN events e ON e.id = j.event_id CROSS JOIN root
LEFT JOIN lanes l ON l.id = root.lane LEFT JOIN conversations c ON c.id = l.conversation_id
"""


def _measured(ask: Callable[[int], object], lanes: list[int]) -> tuple[float, float]:
    """Microseconds a call: of the wall clock, median; of this process's CPU, mean."""
    walls = []
    cpu = time.process_time()
    for lane in lanes:
        started = time.perf_counter()
        ask(lane)
        walls.append(time.perf_counter() - started)
    return statistics.median(walls) * 1e6, (time.process_time() - cpu) / len(lanes) * 1e6


def _ways(running: Turn) -> dict[str, Callable[[int], object]]:
    url = running.stores.database_url.replace("postgresql://", "postgresql+psycopg2://")
    shared, own = create_engine(url), create_engine(url, isolation_level="AUTOCOMMIT")
    core = text(HEAD.format(lane=":lane"))
    cursor = running.stores.connection.cursor()
    cursor.execute("PREPARE head (bigint) AS " + HEAD.format(lane="$1"))

    def by_option(lane: int) -> object:
        with shared.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return connection.execute(core, {"lane": lane}).first()

    def by_engine(lane: int) -> object:
        with own.connect() as connection:
            return connection.execute(core, {"lane": lane}).first()

    def by_psycopg2(lane: int) -> object:
        cursor.execute(HEAD.format(lane="%(lane)s"), {"lane": lane})
        return cursor.fetchone()

    def prepared(lane: int) -> object:
        cursor.execute("EXECUTE head (%s)", (lane,))
        return cursor.fetchone()

    def nothing(_: int) -> object:
        cursor.execute("SELECT 1")
        return cursor.fetchone()

    return {
        "SQLAlchemy Core, autocommit by an option of the connection": by_option,
        "SQLAlchemy Core, autocommit by its engine": by_engine,
        "psycopg2": by_psycopg2,
        "psycopg2, prepared": prepared,
        "psycopg2, SELECT 1": nothing,
    }


@click.command()
def main() -> None:
    """Print microseconds for each way."""
    table = Table("way", "wall µs, median", "client CPU µs, mean", box=None, pad_edge=False)
    with tempfile.TemporaryDirectory(prefix="nb-") as data, Options(Path(data)).turn(NEVERDROP) as running:
        running.freeze("worker1")
        running.post(running.traffic(EVENTS), EVENTS)
        until(lambda: not running.stores.redis.hlen("journal"), INGEST_SECONDS, "ingest")
        running.stores.query("ANALYZE")
        lanes = [row[0] for row in running.stores.rows(WAITING_LANES)][:LANES]
        for name, ask in _ways(running).items():
            _measured(ask, lanes[:20])  # caches are filled
            wall, cpu = _measured(ask, lanes)
            table.add_row(name, f"{wall:.0f}", f"{cpu:.0f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
