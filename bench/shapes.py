"""What a job costs Postgres by the shape of its tables: ``python -m bench.shapes``.

Which shape Neverdrop has was decided by this. Jobs that wait in lanes are begun and finished one after the other on
one connection, each in a commit, beside rows of jobs that are done long since. Every shape keeps the same: the order
of a lane, the attempt that fences, and how each job ended.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import psutil
from rich.console import Console
from rich.table import Table

from bench.subjects.stores import DURABLE, Stores

LANES_OF_JOBS = 20  # jobs of a lane
PAYLOAD = '{"type":"text","text":{"body":"' + "Where is my order? " * 40 + '"}}'

LANES = """
CREATE TABLE shape_lanes (id bigint PRIMARY KEY, current_job bigint, watermark bigint) WITH (fillfactor = 60);
"""
EVENTS = "CREATE TABLE shape_events (id bigint PRIMARY KEY, key text UNIQUE, payload text NOT NULL);"
NARROW = """
CREATE TABLE shape_jobs (
  id bigint PRIMARY KEY, lane bigint NOT NULL, state text NOT NULL DEFAULT 'pending', attempts int NOT NULL DEFAULT 0,
  worker text, begun_at timestamptz, finished_at timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
"""
OUTCOMES = """
CREATE TABLE shape_outcomes (
  id bigint PRIMARY KEY, lane bigint, state text, attempts int, worker text, begun_at timestamptz,
  finished_at timestamptz);
"""
ATTEMPTS = """
CREATE TABLE shape_attempts (
  job_id bigint, number int, worker text, started_at timestamptz, finished_at timestamptz,
  PRIMARY KEY (job_id, number));
"""
BEGIN_LANE = "UPDATE shape_lanes SET current_job = {id} WHERE id = {lane}"
END_LANE = "UPDATE shape_lanes SET watermark = {id} WHERE id = {lane} AND current_job = {id}"
NOTE_ATTEMPT = "INSERT INTO shape_attempts VALUES ({id}, 1, 'worker', clock_timestamp(), clock_timestamp())"
BEGIN_JOB = """
UPDATE shape_jobs SET attempts = attempts + 1, worker = 'worker', begun_at = clock_timestamp()
WHERE id = {id} AND attempts = 0
"""
END_IN_PLACE = """
UPDATE shape_jobs SET state = 'done', finished_at = clock_timestamp() WHERE id = {id} AND attempts = 1
"""
TO_OUTCOMES = """
WITH done AS (DELETE FROM shape_jobs WHERE id = {id} AND attempts = 1 RETURNING *)
INSERT INTO shape_outcomes
SELECT id, lane, 'done', attempts, worker, begun_at, clock_timestamp() FROM done
"""
FUNCTIONS = """
CREATE FUNCTION shape_begin(asked bigint, of_lane bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE shape_jobs SET attempts = attempts + 1, worker = 'worker', begun_at = clock_timestamp()
  WHERE id = asked AND attempts = 0;
  UPDATE shape_lanes SET current_job = asked WHERE id = of_lane;
END $$;
CREATE FUNCTION shape_finish(asked bigint, of_lane bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE j shape_jobs;
BEGIN
  DELETE FROM shape_jobs WHERE id = asked AND attempts = 1 RETURNING * INTO j;
  UPDATE shape_lanes SET watermark = asked WHERE id = of_lane AND current_job = asked;
  INSERT INTO shape_outcomes VALUES (j.id, j.lane, 'done', j.attempts, j.worker, j.begun_at, clock_timestamp());
END $$;
"""


class Shape(NamedTuple):
    """Tables, the rows of a backlog and of what is done, and the statements of a job: to begin it, to finish it."""

    title: str
    tables: str
    fill: tuple[str, ...]  # {first}, {last} and {state} are filled in, {lanes} too
    begin: tuple[str, ...]  # {id} and {lane}
    finish: tuple[str, ...]
    together: bool = False  # the end of one and the beginning of the next are one commit


FILL_EVENTS = """
INSERT INTO shape_events SELECT i, 'message:' || md5(i::text), %(payload)s FROM generate_series({first}, {last}) AS i
"""
FILL_JOBS = """
INSERT INTO shape_jobs (id, lane) SELECT i, i % {lanes} FROM generate_series({first}, {last}) AS i
WHERE '{state}' = 'pending'
"""
FILL_JOBS_OF_ALL = """
INSERT INTO shape_jobs (id, lane, state, attempts) SELECT i, i % {lanes}, '{state}', ('{state}' = 'done')::int
FROM generate_series({first}, {last}) AS i
"""
FILL_OUTCOMES = """
INSERT INTO shape_outcomes SELECT i, i % {lanes}, 'done', 1, 'worker', now(), now()
FROM generate_series({first}, {last}) AS i WHERE '{state}' = 'done'
"""
WIDE = Shape(
    "one row: the event, its place and its result; a row for each attempt",
    LANES + ATTEMPTS + """
CREATE TABLE shape_events (
  id bigint PRIMARY KEY, key text UNIQUE, payload text NOT NULL, lane bigint NOT NULL, state text NOT NULL,
  attempts int NOT NULL DEFAULT 0, finished_at timestamptz);
CREATE INDEX ON shape_events (lane, id) WHERE state = 'pending';
CREATE INDEX ON shape_events (finished_at) WHERE state = 'done';
""",
    ("""
INSERT INTO shape_events
SELECT i, 'message:' || md5(i::text), %(payload)s, i % {lanes}, '{state}', ('{state}' = 'done')::int, now()
FROM generate_series({first}, {last}) AS i
""",),
    ("UPDATE shape_events SET attempts = attempts + 1 WHERE id = {id} AND attempts = 0",
     "INSERT INTO shape_attempts VALUES ({id}, 1, 'worker', clock_timestamp(), NULL)", BEGIN_LANE),
    ("UPDATE shape_events SET state = 'done', finished_at = clock_timestamp() WHERE id = {id} AND attempts = 1",
     "UPDATE shape_attempts SET finished_at = clock_timestamp() WHERE job_id = {id} AND number = 1", END_LANE),
)  # fmt: skip
STATE = Shape(
    "narrow jobs, which keep their state and stay",
    LANES + EVENTS + NARROW + "CREATE INDEX ON shape_jobs (lane, id) WHERE state = 'pending';",
    (FILL_EVENTS, FILL_JOBS_OF_ALL),
    (BEGIN_JOB, BEGIN_LANE),
    (END_IN_PLACE, END_LANE),
)  # fmt: skip
HOT = Shape(
    "narrow jobs that go when they end, and outcomes",
    LANES + EVENTS + NARROW + OUTCOMES + "CREATE INDEX ON shape_jobs (lane, id);",
    (FILL_EVENTS, FILL_JOBS, FILL_OUTCOMES),
    (BEGIN_JOB, BEGIN_LANE),
    (TO_OUTCOMES, END_LANE),
)
NOTED = HOT._replace(
    title="the same, and a row for each attempt",
    tables=HOT.tables + ATTEMPTS,
    finish=(*HOT.finish, NOTE_ATTEMPT),
)
TOGETHER = HOT._replace(
    title="jobs and outcomes; the end of one and the next beginning in one commit", together=True
)
BY_FUNCTIONS = TOGETHER._replace(
    title="the same by two functions: as Neverdrop does it",
    tables=HOT.tables + FUNCTIONS,
    begin=("SELECT shape_begin({id}, {lane})",),
    finish=("SELECT shape_finish({id}, {lane})",),
)
SHAPES = (WIDE, STATE, HOT, NOTED, TOGETHER, BY_FUNCTIONS)


@click.command()
@click.option("--jobs", default=10_000, show_default=True, help="That are run.")
@click.option("--old", default=200_000, show_default=True, help="That are done long since.")
@click.option("--rounds", default=3, show_default=True, help="Of each shape; the median counts.")
def main(jobs: int, old: int, rounds: int) -> None:
    """Measure the shapes of tables on this machine."""
    found: dict[str, list[tuple[float, ...]]] = {shape.title: [] for shape in SHAPES}
    with tempfile.TemporaryDirectory(prefix="neverdrop-bench-") as directory:
        stores = Stores.start(Path(directory), DURABLE, {"synchronous_commit": "off", "max_wal_size": "4GB"})
        try:
            for _ in range(rounds):
                for shape in SHAPES:
                    found[shape.title].append(_measured(stores, shape, jobs, old))
        finally:
            stores.end()
    table = Table("a job", "jobs/s", "server CPU µs", "log bytes", "bytes that stay", "round trips", box=None)
    for title, measured in found.items():
        table.add_row(title, *(f"{sorted(each)[rounds // 2]:,.0f}" for each in zip(*measured, strict=True)))
    Console(width=150).print(table)


def _measured(stores: Stores, shape: Shape, jobs: int, old: int) -> tuple[float, ...]:
    """Jobs a second, and of each job: the server's CPU, bytes of its log, bytes that stay, round trips."""
    lanes = max(1, jobs // LANES_OF_JOBS)
    with stores.connection.cursor() as cursor:
        _fill(cursor, shape, lanes, jobs, old)
        backend = psutil.Process(stores.connection.info.backend_pid)
        log, size, cpu, began = _log(cursor), _size(cursor), _cpu_seconds(backend), time.monotonic()
        trips = sum(_run(cursor, shape, lanes, jobs, old))
        seconds, cpu = time.monotonic() - began, _cpu_seconds(backend) - cpu
        figures = (_log(cursor) - log, _size(cursor) - size)
    return (jobs / seconds, cpu / jobs * 1e6, *(each / jobs for each in figures), trips / jobs)


def _fill(cursor: Any, shape: Shape, lanes: int, jobs: int, old: int) -> None:
    cursor.execute(
        "DROP TABLE IF EXISTS shape_events, shape_jobs, shape_lanes, shape_outcomes, shape_attempts CASCADE"
    )
    cursor.execute("DROP FUNCTION IF EXISTS shape_begin; DROP FUNCTION IF EXISTS shape_finish")
    cursor.execute(shape.tables)
    cursor.execute("INSERT INTO shape_lanes SELECT i FROM generate_series(0, %s) AS i", (lanes,))
    for statement in shape.fill:
        for first, last, state in ((1, old, "done"), (old + 1, old + jobs, "pending")):
            filled = statement.replace("% {lanes}", f"%% {lanes}").format(first=first, last=last, state=state)
            cursor.execute(filled, {"payload": PAYLOAD})
    cursor.execute("VACUUM ANALYZE")
    cursor.execute("CHECKPOINT")  # each begins with the same share of pages that are logged whole


def _run(cursor: Any, shape: Shape, lanes: int, jobs: int, old: int) -> Iterator[int]:
    """Run the jobs; yields the round trips of each. Statements of a commit that follow each other are sent together."""
    begin, finish = "; ".join(shape.begin), "; ".join(shape.finish)
    before = ""
    for id_ in range(old + 1, old + jobs + 1):
        start = begin.format(id=id_, lane=id_ % lanes)
        cursor.execute(f"BEGIN; {before + '; ' if before else ''}{start}; COMMIT")
        end = finish.format(id=id_, lane=id_ % lanes)
        if shape.together:
            before = end
        else:
            cursor.execute(f"BEGIN; {end}; COMMIT")
        yield 1 if shape.together else 2
    if before:
        cursor.execute(before)


def _log(cursor: Any) -> int:
    cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
    return int(cursor.fetchone()[0])


def _size(cursor: Any) -> int:
    cursor.execute("SELECT pg_database_size(current_database())")
    return int(cursor.fetchone()[0])


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
