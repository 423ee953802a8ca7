"""Whether full tables make the work slower. They are filled once, and kept for all rounds."""

import shutil
from dataclasses import replace
from functools import partial

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.rows.cost import wal_bytes
from bench.rows.pipeline import through
from bench.subjects import fill
from bench.subjects.catalog import NEVERDROP
from bench.subjects.turn import Turn

DRAINS = 2  # of events: what is compared differs by less than two short measurements of the same do
BYTES_AN_EVENT = 4_000  # of disk while filling: rows, indexes and the log of what is written


class NoRoomError(Exception):
    """The disk is too small for so many events."""


def rows(options: Options) -> list[Row]:
    full = f"{options.events:,} events"
    return [
        Row(
            "tables",
            "events done a second, by what the tables hold already",
            {"empty": partial(_empty, options), full: partial(_full, options)},
            (Ratio("through/s", full, "empty", at_least=0.9),),
        )
    ]


def _empty(options: Options) -> Figures:
    with options.turn(NEVERDROP) as running:
        return _measured(options, running)


def _full(options: Options) -> Figures:
    name = "full-tables"
    filled = options.data / name / "filled"
    subject = NEVERDROP
    if not filled.exists():
        free = shutil.disk_usage(options.data).free
        if free < options.events * BYTES_AN_EVENT:
            raise NoRoomError(
                f"{options.events:,} events take {options.events * BYTES_AN_EVENT / 2**30:.0f} GiB"
            )
        subject = replace(NEVERDROP, prepare=partial(fill.prepare, events=options.events))
    with options.turn(subject, name=name, keep=filled.exists()) as running:
        filled.touch()
        return {**_measured(options, running), **sizes(running)}


def _measured(options: Options, running: Turn) -> Figures:
    count, log = options.drain * DRAINS, wal_bytes(running)
    return {
        "through/s": through(running, "mix", count),
        "Postgres WAL bytes an event": (wal_bytes(running) - log) / count,
    }


def sizes(running: Turn) -> dict[str, float]:
    """MiB of each table and index that takes more than one."""
    found = running.stores.rows(
        "SELECT relname, pg_relation_size(oid) / 1048576.0 FROM pg_class"
        " WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC"
    )
    return {f"{name} MiB": float(size) for name, size in found if size >= 1}
