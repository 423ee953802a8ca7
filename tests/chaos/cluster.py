"""The real processes under test: two webs, two ingests, three workers, beat, Valkey and Postgres.

What ends is started again, as a platform does, unless a fault keeps it away.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
from sqlalchemy import Engine

from app.dev.judge import EffectBase
from app.dev.processes.children import Program, Records, Running
from app.dev.processes.supervisor import Printer, Supervisor
from app.dev.stack import programs as pipeline
from app.dev.stack.embedded import DURABLE, Server, free_port, postgres, valkey
from app.dev.stack.readiness import consumers_answer, web_is_ready
from app.stores.connections import engine
from app.stores.migrate import migrate
from config.settings import settings
from tests.chaos.schedule import INGESTS, WEBS, WORKERS
from tests.helpers.factories import APP_SECRET
from tests.helpers.services import PASSWORD

READY_SECONDS = 90
POLL_SECONDS = 0.1
HANDLERS = "tests.chaos.handlers"
FAST_WEB = "tests.chaos.fast_clock:app"
COMMIT_TIMES = {"track_commit_timestamp": "on"}  # tells the checker from when on a row could be seen


class ClusterError(Exception):
    """Something did not come up."""


class Cluster:
    """Its processes by name: web1, web2, ingest1, ..., worker3, beat, valkey, postgres."""

    def __init__(self, path: Path, variables: dict[str, str], valkey_path: Path | None = None) -> None:
        self.path = path
        self.valkey_path = valkey_path or path / "valkey"
        self._log = (path / "cluster.log").open("a", encoding="utf-8")
        self.supervisor = Supervisor(Records.of_this_process(path), Printer(self._log))
        self._variables = variables
        self._ports = {name: free_port() for name in WEBS}
        self.servers: dict[str, Server] = {}

    @property
    def urls(self) -> dict[str, str]:
        """Of each web's webhook."""
        return {name: f"http://127.0.0.1:{port}/webhook" for name, port in self._ports.items()}

    @property
    def engine(self) -> Engine:
        return engine()

    def begin(self) -> None:
        """Start everything and wait until it is ready. The environment of this process changes too."""
        self.servers = {
            "valkey": valkey(self.valkey_path, PASSWORD, DURABLE),
            "postgres": postgres(self.path / "postgres", COMMIT_TIMES),
        }
        for server in self.servers.values():
            self.supervisor.start(server.program)
        for name, server in self.servers.items():
            self.wait_until(server.answers, name)
        os.environ.update(
            {
                "NEVERDROP_ENV": "production",
                "WHATSAPP_APP_SECRET": APP_SECRET,
                "WHATSAPP_VERIFY_TOKEN": "chaos",
                "REDIS_URL": self.servers["valkey"].url,
                "DATABASE_URL": self.servers["postgres"].url,
                "HANDLERS": HANDLERS,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                **self._variables,
            }
        )
        settings.cache_clear()
        migrate()
        EffectBase.metadata.create_all(engine())
        for name in (*WEBS, *INGESTS, *WORKERS, "beat"):
            self.supervisor.start(self.program(name))
        self.wait_until(self.ready, "the pipeline")

    def end(self) -> None:
        """Kill whatever runs, in whatever state it is."""
        for name in self.supervisor.names():
            self.running(name).send_all(9)
        self.supervisor.end()
        self._log.close()

    def program(self, name: str) -> Program:
        """Of a web, an ingest, a worker or beat."""
        role, number = name.rstrip("0123456789"), name[-1]
        if role == "web":
            return replace(pipeline.web(self._ports[name]), name=name)
        if role == "beat":
            return pipeline.beat()
        return {"ingest": pipeline.ingest, "worker": pipeline.worker}[role](int(number))

    def fast_web(self, name: str) -> Program:
        """The same web by a clock that is ahead."""
        program = self.program(name)
        return replace(program, argv=(*program.argv[:-1], FAST_WEB))

    def ready(self) -> bool:
        """Whether each web can store and each consumer answers."""
        consumers = [self.program(name) for name in (*INGESTS, *WORKERS)]
        return all(
            web_is_ready(url.removesuffix("/webhook")) for url in self.urls.values()
        ) and consumers_answer(consumers, settings())

    def running(self, name: str) -> Running:
        """What runs under this name now."""
        return self.supervisor[name]

    def alive(self, name: str) -> bool:
        return self.running(name).alive

    def pool(self, name: str) -> list[psutil.Process]:
        """The children of a process: a consumer's pool."""
        try:
            return self.running(name).process.children()
        except psutil.NoSuchProcess:
            return []

    def disable_restart(self, name: str) -> None:
        """Do not start it again by itself when it ends."""
        self.supervisor.disable_restart(name)

    def start(self, name: str, program: Program | None = None) -> None:
        """Start one that has ended."""
        server = self.servers.get(name)
        self.running(name).send_all(9)  # its own children would be in the way
        self.supervisor.start(program or (server.program if server else self.program(name)))

    def restart_ended(self) -> None:
        """Start again what has ended; to be called several times a second."""
        self.supervisor.restart_ended()

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = READY_SECONDS) -> None:
        """ClusterError if the condition does not come true in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise ClusterError(f"{what} did not come up within {seconds:g} s; see {self.path}")
            self.restart_ended()
            time.sleep(POLL_SECONDS)
