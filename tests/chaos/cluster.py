"""The real processes under test: two webs, two ingests, three workers, two senders and forwarders, beat, the stores.

What ends is started again, as a platform does, unless a fault keeps it away.
"""

import os
import sys
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
from app.dev.stack.embedded import DURABLE, POSTGRES_SOCKET, Server, free_port, postgres, valkey
from app.dev.stack.readiness import consumers_answer, web_is_ready
from app.stores.connections import engine, redis
from app.stores.migrate import migrate
from app.watch import target_health
from config.settings import settings
from tests.chaos import effects
from tests.chaos.bodies import TARGET
from tests.chaos.network import Network
from tests.chaos.schedule import INGESTS, OTHER_RELEASE, PROCESSES, SENDERS, STORES, WEBS, WORKERS
from tests.chaos.stepped_clock import SteppedClock
from tests.helpers.crm import Crm
from tests.helpers.factories import APP_SECRET
from tests.helpers.services import PASSWORD
from tests.helpers.targets import SECRET

READY_SECONDS = 90
POLL_SECONDS = 0.1
HANDLERS = "tests.chaos.handlers"
OTHER_HANDLERS = "tests.chaos.other_handlers"
FAST_FORWARDER = "tests.acceptance.fast_forwarder"  # whose pauses are short
FAST_WEB = "tests.chaos.fast_clock:app"
COMMIT_TIMES = {"track_commit_timestamp": "on"}  # tells the checker from when on a row could be seen


CLIENTS = (*PROCESSES, OTHER_RELEASE)


def route(name: str, store: str) -> str:
    """Of the network between a process and a store."""
    return f"{name}-{store}"


class ClusterError(Exception):
    """Something did not come up."""


class Cluster:
    """Its processes by name: web1, web2, ingest1, ..., worker3, sender1, ..., forwarder2, beat, valkey, postgres.

    Each has a network of its own to each store. With ``steps_clocks`` Valkey's clock and beat's can be set.
    """

    def __init__(
        self,
        path: Path,
        variables: dict[str, str],
        valkey_path: Path | None = None,
        *,
        target: Crm,
        steps_clocks: bool = False,
        short: bool = False,
    ) -> None:
        self.path = path
        self.target = target
        self._short = short
        (path / "downstream").mkdir()
        self.network: Network
        self.clocks = {name: SteppedClock(path / name) for name in ("valkey", "beat") if steps_clocks}
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
        for name in self.servers:
            self.supervisor.start(self.program(name))
        for name, server in self.servers.items():
            self.wait_until(server.answers, name)
        self.network = Network(
            {route(name, store): self._socket(store) for name in CLIENTS for store in STORES}
        )
        os.environ.update(
            {
                "NEVERDROP_ENV": "production",
                "WHATSAPP_APP_SECRET": APP_SECRET,
                "WHATSAPP_VERIFY_TOKEN": "chaos",
                "REDIS_URL": self.servers["valkey"].url,
                "DATABASE_URL": self.servers["postgres"].url,
                "HANDLERS": HANDLERS,
                "PYTHONPATH": str(Path(__file__).parents[2]),
                "TARGETS": str(self._targets()),
                "TARGETS_ALLOW_PRIVATE": "true",  # it is on this machine
                effects.DOWNSTREAM: str(self.path / "downstream"),
                **self._variables,
            }
        )
        settings.cache_clear()
        migrate()
        EffectBase.metadata.create_all(engine())
        for name in PROCESSES:
            self.supervisor.start(self.program(name))
        self.wait_until(self.ready, "the pipeline")

    def end(self) -> None:
        """Kill whatever runs, in whatever state it is."""
        for name in self.supervisor.names():
            self.running(name).send_all(9)
        self.supervisor.end()
        if self.servers:
            self.network.end()
        self._log.close()

    def program(self, name: str) -> Program:
        """Of a web, an ingest, a worker, beat or a store, with its own network and clock."""
        clock = self.clocks[name].environment if name in self.clocks else {}
        if name in self.servers:
            program = self.servers[name].program
            return replace(program, env={**program.env, **clock})
        program = self._pipeline_program(name)
        return replace(program, name=name, env={**program.env, **clock, **self._urls_of_stores(name)})

    def _pipeline_program(self, name: str) -> Program:
        role, number = name.rstrip("0123456789"), name[-1]
        if role == "web":
            return pipeline.web(self._ports[name])
        if role == "forwarder":
            program = pipeline.forwarder(int(number))
            return replace(program, argv=(sys.executable, "-m", FAST_FORWARDER)) if self._short else program
        if role == "beat":
            return pipeline.beat()
        if name == OTHER_RELEASE:
            program = pipeline.worker(int(number))
            return replace(program, env={**program.env, "HANDLERS": OTHER_HANDLERS})
        consumers = {"ingest": pipeline.ingest, "worker": pipeline.worker, "sender": pipeline.sender}
        return consumers[role](int(number))

    def _targets(self) -> Path:
        """Write down the one target that there is."""
        file = self.path / "targets.toml"
        file.write_text(
            f'[[target]]\nname = "{TARGET}"\nurl = "{self.target.url}"\nsecret = "{SECRET}"\n'
            'kinds = ["message"]\ntypes = ["text"]\n',
            encoding="utf-8",
        )
        return file

    def _urls_of_stores(self, name: str) -> dict[str, str]:
        redis_port, postgres_port = (
            self.network.ports[route(name, store)] for store in ("valkey", "postgres")
        )
        return {
            "REDIS_URL": f"redis://:{PASSWORD}@127.0.0.1:{redis_port}/0",
            "DATABASE_URL": f"postgresql://postgres@127.0.0.1:{postgres_port}/postgres",
        }

    def _socket(self, store: str) -> str:
        url = self.servers[store].url
        if store == "valkey":
            return url.rpartition("@")[2]
        return f"{url.partition('host=')[2]}/{POSTGRES_SOCKET}"

    def fast_web(self, name: str) -> Program:
        """The same web by a clock that is ahead."""
        program = self.program(name)
        return replace(program, argv=(*program.argv[:-1], FAST_WEB))

    def ready(self) -> bool:
        """Whether each web can store, the target's forwarders are at work, and each consumer answers."""
        consumers = [self.program(name) for name in (*INGESTS, *WORKERS, *SENDERS)]
        webs = [url.removesuffix("/webhook") for url in self.urls.values()]
        forwarded = TARGET in target_health.read(redis())
        return forwarded and all(map(web_is_ready, webs)) and consumers_answer(consumers, settings())

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
        self.running(name).send_all(9)  # its own children would be in the way
        self.supervisor.start(program or self.program(name))

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
