"""Neverdrop's own processes with default settings on stores of their own, started again when they end."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.dev.processes.children import Program, Records
from app.dev.processes.supervisor import Printer, Supervisor
from app.dev.stack import free_port
from app.dev.stack import programs as pipeline
from app.dev.stack.readiness import consumers_answer
from app.stores import connections, engine, migrate
from bench.subjects.stores import DURABLE, Stores
from bench.traffic.bodies import SECRET, signature
from config.settings import settings

READY_SECONDS = 90
POLL_SECONDS = 0.02


class Cluster:
    """A web, an ingest, workers and beat."""

    def __init__(self, stores: Stores, supervisor: Supervisor, port: int) -> None:
        self.stores, self.supervisor, self.port = stores, supervisor, port
        self._web = httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60)

    def post(self, content: bytes) -> None:
        """Post a signed body."""
        headers = {"X-Hub-Signature-256": f"sha256={signature(content)}"}
        self._web.post("/webhook", content=content, headers=headers).raise_for_status()

    def until(self, look: Callable[[], Any], seconds: float, what: str) -> Any:
        """What it returns at last; what has ended is started again meanwhile. TimeoutError after so many seconds."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {seconds:g} s")
            self.supervisor.restart_ended()
            time.sleep(POLL_SECONDS)
        return found

    def close(self) -> None:
        self._web.close()


@contextmanager
def running(
    path: Path,
    workers: int,
    prepare: Callable[[Stores], object] = id,
    others: Sequence[Program] = (),
    **variables: str,
) -> Iterator[Cluster]:
    """Start all of it, and other programs beside it; its log is in the directory.

    ``variables`` are in its environment and in this process's.
    """
    stores = Stores.start(path, DURABLE)
    os.environ |= {
        "NEVERDROP_ENV": "development", "REDIS_URL": stores.redis_url, "DATABASE_URL": stores.database_url,
        "WHATSAPP_APP_SECRET": SECRET, "WHATSAPP_VERIFY_TOKEN": "bench", **variables,
    }  # fmt: skip
    settings.cache_clear()
    connections.reset()
    migrate()
    prepare(stores)
    port = free_port()
    with (path / "cluster.log").open("w", encoding="utf-8") as log:
        supervisor = Supervisor(Records.of_this_process(path), Printer(log))
        consumers = [pipeline.ingest(), *map(pipeline.worker, range(1, workers + 1))]
        cluster = Cluster(stores, supervisor, port)
        try:
            for program in (pipeline.web(port), *consumers, pipeline.beat(), *others):
                supervisor.start(program)
            cluster.until(lambda: consumers_answer(consumers, settings()), READY_SECONDS, "the workers")
            yield cluster
        finally:
            cluster.close()
            supervisor.kill()
            supervisor.end()
            engine().dispose()
            stores.end()
