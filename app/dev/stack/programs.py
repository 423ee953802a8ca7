"""The processes of the pipeline and their command lines, in one place. Pure: no I/O.

``neverdrop up``, the tests and, by a test that compares them, the Procfile all run these.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace

from app.dev.processes import Program
from config.celery import CONVERSATIONS, MAINTENANCE, OUTBOX, SOFT_SHUTDOWN_SECONDS, WEBHOOKS

WEB_GRACE_SECONDS = 15
# After the soft shutdown tasks are given back to the queue, which takes a moment
WORKER_GRACE_SECONDS = SOFT_SHUTDOWN_SECONDS + 8
SENDER_CONCURRENCY = 2
INGEST_CONCURRENCY = 2  # one may sweep while the other stores
# SIGTERM alone lets a prefork worker wait for results that nobody reads, for longer than a platform waits
CONSUMER_ENVIRONMENT = {
    "REMAP_SIGTERM": "SIGQUIT",
    "PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges",  # JSON only: no pickles
}


def web(port: int, host: str = "127.0.0.1", workers: int = 1) -> Program:
    """The HTTP endpoint, in ``workers`` processes."""
    return _python(
        "web",
        "-m uvicorn --http app.web.http_guard:GuardedProtocol --loop app.web.event_loop:Loop --ws none --lifespan off"
        " --no-access-log --log-level error --no-proxy-headers --no-server-header --timeout-keep-alive 75"
        f" --timeout-graceful-shutdown 10 --host {host} --port {port} --workers {workers} app.web:app",
        grace_seconds=WEB_GRACE_SECONDS,
    )


def ingest(number: int = 1) -> Program:
    """Splits bodies into rows, and sweeps; ``number`` tells several on one machine apart."""
    return _consumer(
        f"ingest{number}",
        f"-Q {WEBHOOKS},{MAINTENANCE} --concurrency {INGEST_CONCURRENCY}",
    )


def worker(number: int = 1, concurrency: int | None = None) -> Program:
    """Runs handlers; ``concurrency`` at a time, or as many as there are cores."""
    pool = f" --concurrency {concurrency}" if concurrency else ""
    return _consumer(f"worker{number}", f"-Q {CONVERSATIONS} -E{pool}")


def sender(number: int = 1) -> Program:
    """Sends what handlers wrote."""
    return _consumer(f"sender{number}", f"-Q {OUTBOX} --concurrency {SENDER_CONCURRENCY}")


def forwarder(number: int = 1) -> Program:
    """Posts events to targets."""
    return _python(f"forwarder{number}", "-m app.targets", grace_seconds=WORKER_GRACE_SECONDS)


def graph(port: int, webhook_url: str) -> Program:
    """A stand-in for Meta's Graph API, with a page on which a person chats with the bot."""
    return _python("graph", f"-m app.dev.graph --port {port} --webhook {webhook_url}")


def beat() -> Program:
    """Starts the sweeps by the clock.

    Its schedule is in memory: a file of Celery's is a pickle, and whoever can write it can run code.
    """
    return _python("beat", "-m celery --quiet -A tasks beat --scheduler celery.beat.Scheduler")


def flower(port: int, basic_auth: str) -> Program:
    """The page that watches workers and queues; ``basic_auth`` is user:password."""
    return _python(
        "flower",
        # Flower would switch task events on in ingest too, at the cost of 40 % of its speed
        f"-m celery -A tasks flower --enable_events=False --logging=error --address=127.0.0.1 --port={port}",
        env={"FLOWER_BASIC_AUTH": basic_auth},
    )


def renamed(program: Program, name: str) -> Program:
    """Return a consumer under another name, to run beside the one of this."""
    argv = tuple(part.replace(f"{program.name}@", f"{name}@") for part in program.argv)
    return replace(program, name=name, argv=argv)


def _consumer(name: str, options: str) -> Program:
    return _python(
        name,
        f"-m celery --quiet -A tasks worker -n {name}@%h {options} --without-gossip --without-mingle",
        env=CONSUMER_ENVIRONMENT,
        grace_seconds=WORKER_GRACE_SECONDS,
    )


def _python(
    name: str, line: str, *more: str, env: Mapping[str, str] | None = None, grace_seconds: float = 10
) -> Program:
    return Program(
        name,
        (sys.executable, *line.split(), *more),
        env={"PYTHONUNBUFFERED": "1", **(env or {})},
        grace_seconds=grace_seconds,
    )
