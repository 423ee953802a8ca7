"""What an event costs: CPU of each process, bytes in each store, round trips; and what each process keeps in memory."""

import re
from collections import Counter
from functools import partial

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.rows.pipeline import through
from bench.subjects.catalog import NEVERDROP, TUTORIAL, Subject
from bench.subjects.turn import Turn
from bench.traffic.bodies import Kind

LOGGED = {"log_statement": "all", "log_line_prefix": "%a|", "logging_collector": "off"}
STATEMENT = re.compile(r"^[^|\n]*\|LOG:  (?:statement|execute [^:]*): *(.*)", re.MULTILINE)
COUNTS = ("count(*) FROM outcomes WHERE", "count(*) FROM bench_rows")  # the bench's own
TABLES = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0) FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


def rows(options: Options) -> list[Row]:
    kinds: tuple[Kind, ...] = ("messages", "mix")
    cases = {
        f"{subject.name}, {kind}": partial(_cost, options, subject, kind)
        for subject in (NEVERDROP, TUTORIAL)
        for kind in kinds
    }
    return [
        Row("cost", "cost of an event, while they come as fast as they are done", cases, rounds=1),
        Row(
            "memory",
            f"memory of each process with its children, after {options.drain:,} events and after three times as many",
            {
                NEVERDROP.name: partial(_memory, options),
                f"{NEVERDROP.name}, later": partial(_memory, options, 3),
            },
            tuple(
                Ratio(f"{name} MiB", f"{NEVERDROP.name}, later", NEVERDROP.name, at_most=1.1)
                for name in ("web", "ingest1", "worker1", "beat")
            ),
            rounds=1,
        ),
    ]


def _cost(options: Options, subject: Subject, kind: Kind) -> Figures:
    count = options.drain
    with options.turn(subject) as running:
        figures = {**_cpu(running, kind, count), **_bytes(running, kind, count)}
    with options.turn(subject, name=f"{subject.name} logged", postgres_options=LOGGED) as running:
        return {**figures, **_round_trips(running, kind, count)}


def _cpu(running: Turn, kind: Kind, count: int) -> dict[str, float]:
    before = running.cpu_seconds()
    rate = through(running, kind, count)
    used = {name: (after - before[name]) / count * 1e6 for name, after in running.cpu_seconds().items()}
    return {
        "through/s": rate,
        "all CPU µs": sum(used.values()),
        **{f"{name} CPU µs": value for name, value in used.items()},
    }


def _bytes(running: Turn, kind: Kind, count: int) -> dict[str, float]:
    """In Redis while it waits; in Postgres once it is done, with indexes; and of the log of what is written there."""
    stores, traffic = running.stores, running.traffic(count, kind)
    tables, log = int(stores.query(TABLES)), wal_bytes(running)
    already = running.done()
    running.freeze()
    memory = stores.redis.info("memory")["used_memory"]
    running.post(traffic, count)
    waiting = stores.redis.info("memory")["used_memory"] - memory
    running.thaw()
    running.until_done(already + count)
    return {
        "Redis bytes while it waits": waiting / count,
        "Postgres bytes": (int(stores.query(TABLES)) - tables) / count,
        "Postgres WAL bytes": (wal_bytes(running) - log) / count,
    }


def wal_bytes(running: Turn) -> int:
    """Of the log of what is written, since the database was made."""
    return int(running.stores.query("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"))


def _round_trips(running: Turn, kind: Kind, count: int) -> dict[str, float]:
    """Commands of Redis, those inside scripts and transactions too; statements of Postgres, by their first word."""
    log = running.stores.log("postgres")
    start, commands = log.stat().st_size, _commands(running)
    through(running, kind, count)
    found = _commands(running) - commands
    statements = _statements(log.read_bytes()[start:].decode(errors="replace"))
    return {
        "Redis commands": sum(found.values()) / count,
        "Postgres statements": sum(statements.values()) / count,
        **{f"Postgres {word}": number / count for word, number in statements.most_common(8)},
        **{f"Redis {name}": number / count for name, number in found.most_common(16)},
    }


def _commands(running: Turn) -> Counter[str]:
    stats = running.stores.redis.info("commandstats")
    return Counter(
        {name.removeprefix("cmdstat_").upper(): int(found["calls"]) for name, found in stats.items()}
    )


def _statements(log: str) -> Counter[str]:
    """By the first word; a statement may begin on the line after the log's."""
    found: Counter[str] = Counter()
    parts = STATEMENT.split(log)
    for first, rest in zip(parts[1::2], parts[2::2], strict=True):
        statement = f"{first}{rest}".strip()
        if not any(count in statement for count in COUNTS):
            found[statement.partition(" ")[0].upper() or "(empty)"] += 1
    return found


def _memory(options: Options, times: int = 1) -> Figures:
    with options.turn(NEVERDROP) as running:
        for _ in range(times):
            through(running, "mix", options.drain)
        return {f"{name} MiB": size for name, size in running.memory_mib().items()}
