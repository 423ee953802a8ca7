"""Whether the table of events were better in parts: ``python -m bench.partitions``.

Each of ``bench.variants`` is filled with the same events and asked the same, in turns: the insert of ingest, the
statements of a lane, the end of what is old. Then the planner is asked about so many more events as no disk here
holds (``bench.planner``). Ratios are to the table as it is.
"""

import json
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psycopg2
from rich.console import Console
from rich.table import Table

from app.dev.processes.children import Records
from app.dev.processes.parent_watchdog import watch
from app.lanes.statements import BEGIN, FINISH, HEADS
from app.recovery import retention
from app.stores.delivery_id import ids
from bench import fill, planner
from bench.rows.tables import NoRoomError
from bench.stores import Stores
from bench.subjects import NEVERDROP
from bench.variants import FINISH_IN_PART, PARTS, VARIANTS, Variant

BYTES_AN_EVENT = 2_500  # of disk, in each variant
MOST_BYTES = 8 * 2**30
# Whole pages in the log come by chance, after each checkpoint: they would hide what a variant writes
POSTGRES = {
    "autovacuum": "off",
    "full_page_writes": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "512MB",
}
GROUP = 16  # events that one ingest stores together
GROUPS = 20  # a round
ROUNDS = 9
AT_ONCE = retention.AT_ONCE
CONNECTION = "SET plan_cache_mode = force_generic_plan; SET synchronous_commit = off"
PAYLOAD = json.dumps({"item": {"text": {"body": "x" * 400}}})

OLDEST = "WHERE state = 'done' ORDER BY finished_at"
TAKE = f"""
WITH old AS MATERIALIZED (SELECT key FROM {{table}} {{oldest}} LIMIT {AT_ONCE} FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM {{table}} t USING old WHERE t.key = old.key RETURNING t.*) {{moved}}
SELECT count(*) FROM gone
"""  # noqa: S608  (constants)
BESIDES = 10 * AT_ONCE
EVENT_ID, ACCEPTED_AT = 9, 15  # places in a row of lane_heads

Figures = dict[str, dict[str, list[float]]]  # variant → figure → one value a round


class Subject:
    """A variant in a database of its own."""

    def __init__(self, variant: Variant, stores: Stores, events: int) -> None:
        self.variant = variant
        self.stores = stores
        self.number = 0
        NEVERDROP.prepare(stores)
        variant.prepare(stores, fill.fill, events)
        stores.query("VACUUM ANALYZE")
        stores.query(CONNECTION)
        stores.query(f"PREPARE ingest_events (json) AS {variant.insert}")
        for statement in (HEADS, BEGIN, FINISH, FINISH_IN_PART):
            stores.query(statement)
        list(self.round())  # caches are filled

    def round(self) -> Iterator[tuple[str, float]]:
        """Insert some groups, run their lanes; each figure with its value."""
        lanes: list[int] = []
        log = self._log()
        began = time.perf_counter()
        for _ in range(GROUPS):
            rows = self._rows()
            self.stores.query("EXECUTE ingest_events (%s)", json.dumps(rows))
            lanes += [row["lane"] for row in rows]
        yield "insert, µs an event", (time.perf_counter() - began) / len(lanes) * 1e6
        yield "insert, WAL bytes an event", (self._log() - log) / len(lanes)
        yield from self._lanes(lanes)

    def _lanes(self, lanes: list[int]) -> Iterator[tuple[str, float]]:
        took: dict[str, list[float]] = defaultdict(list)
        for lane in lanes:
            head = self._timed(took, "heads", "EXECUTE lane_heads (%s, 1, 2)", [lane])
            event = head[EVENT_ID]
            self._timed(took, "begin", "EXECUTE lane_begin (%s, %s, 0::smallint, 'w', 'h')", lane, event)
            if lane % 2:
                self._timed(took, "finish", "EXECUTE lane_finish (%s, 1::smallint)", event)
            else:
                told = (event, head[ACCEPTED_AT])
                self._timed(
                    took, "finish in its part", "EXECUTE lane_finish_in_part (%s, 1::smallint, %s)", *told
                )
        for name, seconds in took.items():
            yield f"{name}, µs", statistics.median(seconds) * 1e6

    def pages(self) -> dict[str, float]:
        """Pages that each statement looks at, of a lane with one event: no clock is in it."""
        rows = self._rows()
        found = {"insert of 16, pages": self._pages("EXECUTE ingest_events (%s)", json.dumps(rows))}
        lane = rows[0]["lane"]
        event = self._row("EXECUTE lane_heads (%s, 1, 2)", [lane])[EVENT_ID]
        found["heads, pages"] = self._pages("EXECUTE lane_heads (%s, 1, 2)", [lane])
        found["begin, pages"] = self._pages("EXECUTE lane_begin (%s, %s, 0::smallint, 'w', 'h')", lane, event)
        found["finish, pages"] = self._pages("EXECUTE lane_finish (%s, 1::smallint)", event)
        return found

    def planned(self, factor: float) -> dict[str, float]:
        """Cost and planning time with so many times as many rows."""
        planner.enlarge(self.stores, factor)
        asked: dict[str, tuple[Any, ...]] = {
            "insert of 16": ("EXECUTE ingest_events (%s)", json.dumps(self._rows())),
            "heads": ("EXECUTE lane_heads (%s, 1, 2)", [1]),
            "begin": ("EXECUTE lane_begin (1, 1, 0::smallint, 'w', 'h')",),
            "finish": ("EXECUTE lane_finish (1, 1::smallint)",),
        }
        found = {"events it believes in": planner.rows(self.stores, "SELECT FROM events")}
        for name, (statement, *parameters) in asked.items():
            plans = [planner.explain(self.stores, statement, *parameters) for _ in range(5)]
            found[f"{name}, cost"] = plans[0][0]
            found[f"{name}, planning ms"] = statistics.median(planning for _, planning in plans)
        return found | (self._purges() if self.variant is VARIANTS[0] else {})

    def _purges(self) -> dict[str, float]:
        """What the statements of ``app.recovery.retention`` would cost: an index is read, or a table as a whole."""
        told = "'-infinity'", "now()", str(AT_ONCE), "ARRAY['a','b']"
        found = {}
        for name in ("DELETE_DONE", "DELETE_DISCARDED", "DELETE_STATUSES", "DELETE_DELIVERIES"):
            statement = getattr(retention, name).text
            for parameter, value in zip((":after", ":before", ":at_most", ":ids"), told, strict=True):
                statement = statement.replace(parameter, value)
            cost, _ = planner.explain(self.stores, statement.replace(":keys", told[-1]))
            found[f"{name}, cost"] = cost
        return found

    def _timed(self, took: dict[str, list[float]], name: str, statement: str, *parameters: object) -> Any:
        began = time.perf_counter()
        row = self._row(statement, *parameters)
        took[name].append(time.perf_counter() - began)
        return row

    def _row(self, statement: str, *parameters: object) -> Any:
        with self.stores.connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchone()

    def _pages(self, statement: str, *parameters: object) -> float:
        plan = self.stores.query("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement, *parameters)[0][
            "Plan"
        ]
        return float(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    def _log(self) -> int:
        return int(self.stores.query("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn"))

    def _rows(self) -> list[dict[str, Any]]:
        """A group of messages, each in a lane of its own that was there before."""
        now = datetime.now(UTC).isoformat()
        rows = []
        for id_ in ids.take(GROUP):
            self.number += 1
            rows.append({
                "key": f"message:wamid.NEW{self.number:040}", "delivery_id": id_, "position": 0,
                "lane": 1_000_000 + self.number, "occurred_at": now, "accepted_at": now, "kind": "message",
                "type": "text", "payload": PAYLOAD, "state": "pending", "handler": "h", "error": None,
            })  # fmt: skip
        return rows

    def end_of_the_oldest(self, events: int) -> dict[str, float]:
        """Get rid of the oldest part: by DROP where that can be, else by DELETE in batches."""
        size, log, began = self._size(), self._log(), time.perf_counter()
        if self.variant.parts_of:
            self.stores.query(f"DROP TABLE {self.variant.parts_of}_0")
            gone = events // PARTS
        else:
            gone = self._take(events // PARTS, "events", OLDEST)
        seconds, log = time.perf_counter() - began, self._log() - log
        self.stores.query("VACUUM")
        return {
            "oldest twelfth, events/s": gone / seconds,
            "oldest twelfth, WAL bytes an event": log / gone,
            "oldest twelfth, MiB given back": (size - self._size()) / 2**20,
        }

    def besides(self) -> dict[str, float]:
        """What the candidates need beside: moving events into the archive, deleting old keys."""
        log, began = self._log(), time.perf_counter()
        if self.variant.name == "archive":
            moved = self._take(
                BESIDES, "events", OLDEST, ", moved AS (INSERT INTO archive SELECT * FROM gone)"
            )
        elif self.variant.name == "keys":
            moved = self._take(BESIDES, "event_keys", "ORDER BY accepted_at")
        else:
            return {}
        seconds = time.perf_counter() - began
        return {
            "besides, events/s": moved / seconds,
            "besides, WAL bytes an event": (self._log() - log) / moved,
        }

    def _take(self, most: int, table: str, oldest: str, moved: str = "") -> int:
        """Delete rows in batches; how many."""
        self.stores.query(
            "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off"
        )  # as if large
        gone, batch = 0, 1
        while gone < most and batch:
            batch = int(self.stores.query(TAKE.format(table=table, oldest=oldest, moved=moved)))
            gone += batch
        self.stores.query("RESET enable_hashjoin; RESET enable_mergejoin; RESET enable_seqscan")
        return gone

    def _size(self) -> float:
        return float(self.stores.query(
            "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'i', 't')"
        ))  # fmt: skip


@contextmanager
def subjects(path: Path, events: int) -> Iterator[list[Subject]]:
    """One server; each variant in a database of its own."""
    records = Records.of_this_process(path)
    with ExitStack() as opened:
        opened.callback(watch(records).stop)  # which ends the servers if this process is killed
        stores = Stores.start(path, NEVERDROP.redis_options, POSTGRES)
        opened.callback(stores.end)
        found = []
        for variant in VARIANTS:
            stores.query(f"CREATE DATABASE {variant.name}")
            url = stores.database_url.replace("/bench?", f"/{variant.name}?")
            connection: Any = psycopg2.connect(url)
            connection.autocommit = True
            opened.callback(connection.close)
            found.append(Subject(variant, replace(stores, database_url=url, connection=connection), events))
        yield found


def in_turns(found: list[Subject], ask: Callable[[Subject], Any], rounds: int) -> Figures:
    """Each round asks every variant, the first of them another each time."""
    figures: Figures = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        first = number % len(found)
        for subject in found[first:] + found[:first]:
            for figure, value in dict(ask(subject)).items():
                figures[subject.variant.name][figure].append(value)
    return figures


def show(console: Console, title: str, figures: Figures) -> None:
    """Medians, and beside each the median of its ratios to the table as it is, round by round."""
    names = [variant.name for variant in VARIANTS if variant.name in figures]
    table = Table("", *names, title=title, title_justify="left", box=None, pad_edge=False)
    for figure in dict.fromkeys(figure for found in figures.values() for figure in found):
        base = figures["plain"].get(figure)
        table.add_row(figure, *(_cell(figures[name].get(figure), base) for name in names))
    console.print(table)


def _cell(values: list[float] | None, base: list[float] | None) -> str:
    if not values:
        return ""
    shown = f"{statistics.median(values):,.{2 if statistics.median(values) < 10 else 0}f}"
    if base is None or base is values or not all(base):
        return shown
    return f"{shown} ({statistics.median(v / b for v, b in zip(values, base, strict=True)):.2f})"


@click.command()
@click.option("--events", default=400_000, show_default=True, help="in each variant")
@click.option("--planned", default=100_000_000, show_default=True, help="events that the planner is told of")
def main(events: int, planned: int) -> None:
    """Print what each variant costs."""
    needed = events * BYTES_AN_EVENT * len(VARIANTS)
    with tempfile.TemporaryDirectory(prefix="nb-") as data:
        if needed > min(MOST_BYTES, shutil.disk_usage(data).free / 2):
            raise NoRoomError(f"{events:,} events in each variant take {needed / 2**30:.0f} GiB")
        console = Console(width=140)
        with subjects(Path(data), events) as found:
            show(console, f"{events:,} events, {ROUNDS} rounds", in_turns(found, lambda s: s.round(), ROUNDS))
            show(console, "pages", in_turns(found, Subject.pages, 3))
            show(console, "the end of what is old", in_turns(found, lambda s: s.end_of_the_oldest(events), 1))
            show(console, "besides", in_turns(found, Subject.besides, 1))
            factor = planned / events
            show(console, f"planned for {planned:,} events", in_turns(found, lambda s: s.planned(factor), 1))


if __name__ == "__main__":
    main()
