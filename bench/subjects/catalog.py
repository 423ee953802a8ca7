"""What is measured: Neverdrop and its peers, each as the processes that run it and the way to count what is done.

Every web has one process unless told otherwise, every pool as many processes as there are cores.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.dev.processes.children import Program
from app.dev.stack import programs as pipeline
from bench.peers.items import TABLE
from bench.subjects.stores import DURABLE, USUAL, Stores
from bench.traffic.bodies import SECRET
from config.redis_endpoint import RedisEndpoint

ROOT = Path(__file__).parents[2]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = 4  # requests that a peer's web process answers at a time: with more each of them is slower

COUNT_ROWS = "SELECT count(*) FROM bench_rows"
# Of this turn: to count those of years, in tables that are kept, would take more than the work that is measured
COUNT_DONE = "SELECT count(*) FROM outcomes WHERE state IN ('done', 'unhandled') AND finished_at >= %s"
COUNT_PENDING = "SELECT count(*) FROM jobs"


@dataclass(frozen=True, slots=True)
class Subject:
    """``web(port, processes)`` and ``consumers()`` are programs; ``backlog`` counts what is accepted but not done."""

    name: str
    web: Callable[[int, int], Program]
    consumers: Callable[[], list[Program]] = list
    redis_options: Mapping[str, str] = field(default_factory=lambda: USUAL)
    prepare: Callable[[Stores], object] = lambda stores: stores.query(TABLE)
    done: Callable[[Stores], int] = lambda stores: int(stores.query(COUNT_ROWS))
    backlog: Callable[[Stores], int] = lambda _: 0
    handles: bool = True  # it does more than answer
    handlers: str = "bench.subjects.handlers"  # Neverdrop's

    def environment(self, stores: Stores) -> dict[str, str]:
        """What its processes are told."""
        return {
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": stores.redis_url,
            "PEER_BROKER_URL": RedisEndpoint.parse(stores.redis_url).broker_url,  # as Celery has it
            "DATABASE_URL": stores.database_url,
            "WHATSAPP_APP_SECRET": SECRET,
            "WHATSAPP_VERIFY_TOKEN": "bench",
            "HANDLERS": self.handlers,
            "FLOWER_BASIC_AUTH": "",
            "SENTRY_DSN": "",
            "LOG_FORMAT": "json",
            "NEVERDROP_ENV": "production",
        }


def _python(name: str, line: str) -> Program:
    return Program(name, (sys.executable, "-m", *line.split()), grace_seconds=5)


def _granian(target: str, threads: int = THREADS) -> Callable[[int, int], Program]:
    return lambda port, processes: _python(
        "web",
        f"granian --interface wsgi --http 1 --no-ws --log-level error --host 127.0.0.1 --port {port}"
        f" --workers {processes} --blocking-threads {threads} {target}",
    )


def _neverdrops(target: str) -> Callable[[int, int], Program]:
    """Neverdrop's own server, with another application."""

    def web(port: int, processes: int) -> Program:
        program = pipeline.web(port, workers=processes)
        return replace(program, argv=(*program.argv[:-1], target))

    return web


def _gunicorn(target: str) -> Callable[[int, int], Program]:
    return lambda port, processes: _python(
        "web",
        f"gunicorn -k gthread --workers {processes} --threads {THREADS} --log-level error"
        f" --bind 127.0.0.1:{port} {target}",
    )


def _prepare_neverdrop(stores: Stores) -> None:
    known = {**os.environ, **NEVERDROP.environment(stores)}
    command = [sys.executable, "-c", "from app.cli import main; main()", "migrate"]
    subprocess.run(command, env=known, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  (our own)
    stores.query(TABLE)


def _neverdrop_backlog(stores: Stores) -> int:
    journal: int = stores.redis.hlen("journal")
    return journal + int(stores.query(COUNT_PENDING))


def neverdrop_consumers(workers: int = 1, concurrency: int = CORES) -> list[Program]:
    """One ingest, so many workers with a pool each, and beat."""
    return [
        pipeline.ingest(),
        *(pipeline.worker(number, concurrency) for number in range(1, workers + 1)),
        pipeline.beat(),
    ]


NEVERDROP = Subject(
    "Neverdrop",
    web=lambda port, processes: pipeline.web(port, workers=processes),
    consumers=neverdrop_consumers,
    redis_options=DURABLE,
    prepare=_prepare_neverdrop,
    done=lambda stores: int(stores.query(COUNT_DONE, stores.ready_at)),
    backlog=_neverdrop_backlog,
)
NEVERDROP_GROUPED = replace(NEVERDROP, name="Neverdrop, grouped", handlers="bench.subjects.grouped_handlers")
NEVERDROP_IDLE = replace(NEVERDROP, name="Neverdrop, no-op", handlers="bench.subjects.idle_handlers")
NEVERDROP_IDLE_GROUPED = replace(
    NEVERDROP, name="Neverdrop, no-op, grouped", handlers="bench.subjects.grouped_idle_handlers"
)
NEVERDROP_TWO_LANES = replace(
    NEVERDROP,
    name="Neverdrop, two lanes",
    handlers="bench.subjects.two_lanes_handlers",
    done=lambda stores: int(stores.query(COUNT_DONE, stores.ready_at)) // 2,
)


def _celery() -> list[Program]:
    line = f"celery --quiet -A bench.peers.tutorial:queue worker --concurrency {CORES}"
    return [_python("worker", line)]


def _queued(*keys: str) -> Callable[[Stores], int]:
    return lambda stores: sum(int(stores.redis.llen(key)) for key in keys)


TUTORIAL = Subject("tutorial", _gunicorn("bench.peers.tutorial:app"), _celery, backlog=_queued("celery"))
TUTORIAL_GRANIAN = Subject(
    "tutorial on granian", _granian("bench.peers.tutorial:app"), _celery, backlog=_queued("celery")
)
RQ = Subject(
    "RQ",
    _granian("bench.peers.rq_queue:app"),
    # Its default worker forks for each job; this one, which does not, is the faster
    lambda: [
        Program(
            "worker",
            (
                sys.executable, "-c", "from rq.cli import main; main()", "worker-pool", "--quiet",
                "--num-workers", str(CORES), "--worker-class", "rq.worker.SimpleWorker",
            ),
            grace_seconds=5,
        )
    ],
    backlog=_queued("rq:queue:default"),
)  # fmt: skip
DRAMATIQ = Subject(
    "Dramatiq",
    _granian("bench.peers.dramatiq_actor:app"),
    lambda: [_python("worker", f"dramatiq bench.peers.dramatiq_actor --processes {CORES} --threads 8")],
    backlog=_queued("dramatiq:default"),
)
PYWA = Subject(
    "pywa",
    lambda port, processes: _python(
        "web",
        f"pywa run --entrypoint bench.peers.pywa_bot:bot --port {port} --log-level warning"
        f" --workers {processes}",
    ),
)
BARE = Subject("bare Flask", _granian("bench.peers.bare:app"), prepare=lambda _: None, handles=False)
BARE_ALONE = replace(BARE, name="bare Flask on one thread", web=_granian("bench.peers.bare:app", threads=1))
BARE_SAME = replace(BARE, name="bare Flask on the same server", web=_neverdrops("bench.peers.bare:gateway"))
LPUSH_SAME = replace(
    BARE_SAME,
    name="one LPUSH to disk on the same server",
    web=_neverdrops("bench.peers.durable:gateway"),
    redis_options=DURABLE,
)

PEERS = (TUTORIAL, TUTORIAL_GRANIAN, PYWA, RQ, DRAMATIQ)
SUBJECTS = {subject.name: subject for subject in (NEVERDROP, *PEERS, BARE, BARE_ALONE, BARE_SAME, LPUSH_SAME)}
