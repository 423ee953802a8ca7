"""What the planner would say if the tables were larger than the disk.

It takes a table's size from its files, and the rows in it from that size and ``pg_class``. So the files are made
longer, by holes that take no room on the disk, and the numbers in ``pg_class`` are multiplied by as much. Pages of
zeros are empty pages to Postgres. What is not simulated: an index is a level or so lower than it would be. Nothing may
be run on such tables afterwards but EXPLAIN.
"""

import os
from pathlib import Path

from bench.subjects.stores import Stores

PAGE = 8192
SEGMENT = 2**30  # bytes of one file of a table
# Indexes of what is unfinished stay small however many events there are
UNFINISHED = (
    "'events_pending', 'events_due', 'events_dead', 'events_died', 'events_dead_lane', 'events_oldest'"
)

RELATIONS = f"""
SELECT c.relname, c.relkind, c.relpages, c.reltuples, pg_relation_filepath(c.oid)
FROM pg_class c WHERE c.relkind IN ('r', 'i') AND c.relnamespace = 'public'::regnamespace AND c.relpages > 1
AND pg_relation_size(c.oid) > 0
AND NOT EXISTS (SELECT FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent
                WHERE h.inhrelid = c.oid AND p.relname IN ({UNFINISHED}))
AND c.relname NOT IN ({UNFINISHED})
"""  # noqa: S608  (a constant)
RESTORE = (
    "SELECT pg_restore_relation_stats('schemaname', 'public', 'relname', %s::text,"
    " 'relpages', %s::integer, 'reltuples', %s::real)"
)


def enlarge(stores: Stores, factor: float) -> int:
    """Make every table and index of the database so many times as large; bytes that they seem to take then."""
    stores.query("CHECKPOINT")
    directory = stores.path / "postgres"
    seeming = 0
    for name, _, pages, tuples, file in stores.rows(RELATIONS):
        size = int(pages * factor) * PAGE
        _extend(directory / file, size)
        stores.query(RESTORE, name, size // PAGE, tuples * factor)
        seeming += size
    return seeming


def _extend(path: Path, size: int) -> None:
    """Postgres keeps a table in files of SEGMENT bytes, of which only the last may be shorter."""
    owner = path.stat()
    for number in range((size + SEGMENT - 1) // SEGMENT):
        segment = path if number == 0 else path.with_name(f"{path.name}.{number}")
        segment.touch(mode=0o600)
        wanted = min(SEGMENT, size - number * SEGMENT)
        if segment.stat().st_size < wanted:
            os.truncate(segment, wanted)
        os.chown(segment, owner.st_uid, owner.st_gid)


def explain(stores: Stores, statement: str, *parameters: object) -> tuple[float, float]:
    """The planner's cost, and the milliseconds that it takes to plan anew."""
    stores.query("DISCARD PLANS")
    (plan,) = stores.query("EXPLAIN (FORMAT JSON, SUMMARY) " + statement, *parameters)
    return float(plan["Plan"]["Total Cost"]), float(plan["Planning Time"])


def rows(stores: Stores, statement: str) -> float:
    """How many rows the planner expects."""
    return float(stores.query("EXPLAIN (FORMAT JSON) " + statement)[0]["Plan"]["Plan Rows"])
