"""A variant of the table in a database of its own, and the figures that it is asked for."""

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from app.lanes.statements import BEGIN, FINISH, HEADS
from app.recovery import retention
from app.stores.delivery_id import ids
from bench.partitions import planner
from bench.partitions.variants import FINISH_IN_PART, PARTS, VARIANTS, Variant
from bench.subjects import fill
from bench.subjects.catalog import NEVERDROP
from bench.subjects.stores import Stores

GROUP = 16  # events that one ingest stores together
GROUPS = 20  # a round
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
                arguments = (event, head[ACCEPTED_AT])
                self._timed(
                    took,
                    "finish in its part",
                    "EXECUTE lane_finish_in_part (%s, 1::smallint, %s)",
                    *arguments,
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
        values = "'-infinity'", "now()", str(AT_ONCE), "ARRAY['a','b']"
        found = {}
        for name in ("DELETE_DONE", "DELETE_DISCARDED", "DELETE_STATUSES", "DELETE_DELIVERIES"):
            statement = getattr(retention, name).text
            for parameter, value in zip((":after", ":before", ":at_most", ":ids"), values, strict=True):
                statement = statement.replace(parameter, value)
            cost, _ = planner.explain(self.stores, statement.replace(":keys", values[-1]))
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
