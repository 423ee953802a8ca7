"""The real processes on stores of their own, to be killed, stopped and started again by acceptance tests."""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import httpx
import psutil

from app.dev.processes.children import Program, Records, Running
from app.dev.processes.supervisor import Printer, Supervisor
from app.dev.stack import programs as pipeline
from app.dev.stack.embedded import Server, free_port, valkey
from app.dev.stack.readiness import consumers_answer, web_is_ready
from app.stores.migrate import migrate
from app.web.signature import HEADER
from config.settings import settings
from tests.helpers.cluster import migrated_postgres
from tests.helpers.factories import Json, signed
from tests.helpers.relay import Relay
from tests.helpers.services import PASSWORD

READY_SECONDS = 60
WAIT_SECONDS = 60  # how long a condition may take on a busy machine
POLL_SECONDS = 0.05
LOG_LINES = 300  # shown when a test fails
REQUEST_SECONDS = 10

Found = TypeVar("Found")


class Stack:
    """web, ingest, worker, beat and both stores, by the names that ``neverdrop up`` gives them.

    ``relays`` makes the network between all processes and a store, by the path of the store's socket. With ``beside``
    it shares the Valkey of another one. ``environment`` gives a process or Valkey more variables, by its name.

    Names: ``web``, ``ingest1`` ..., ``worker1`` ..., ``sender1`` ..., ``beat``, ``flower``, ``valkey``,
    ``postgres``. Nothing is started again by itself. Valkey has ``appendfsync always``, Postgres all that makes it
    durable.
    """

    def __init__(
        self,
        path: Path,
        *,
        workers: int = 1,
        ingests: int = 1,
        concurrency: int = 2,
        relays: Callable[[str], Relay] | None = None,
        beside: "Stack | None" = None,
        senders: int = 0,
        forwarders: Sequence[Program] = (),
        environment: Callable[[str], Mapping[str, str]] = lambda _: {},
    ) -> None:
        self.path = path
        self.port = free_port()
        self.flower_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (path / "stack.log").open("a", encoding="utf-8")
        self.supervisor = Supervisor(Records.of_this_process(path), Printer(self._log))
        self._servers: dict[str, Server] = {}
        self._relays = relays
        self._beside = beside
        self._environment = environment
        self._consumers = [pipeline.ingest(number) for number in range(1, ingests + 1)]
        self._consumers += [pipeline.worker(number, concurrency) for number in range(1, workers + 1)]
        self._consumers += [pipeline.sender(number) for number in range(1, senders + 1)]
        self._forwarders = list(forwarders)

    # Start and end

    def open_stores(self) -> dict[str, str]:
        """Start Valkey and Postgres; the environment that leads to them."""
        self._servers = {"postgres": self.postgres()}
        if self._beside is None:
            server = self.valkey()
            self._servers["valkey"] = replace(server, program=self._with_environment(server.program))
        for name in self._servers:
            self.start(name)
        redis_url, database_url = self.redis_url, self._servers["postgres"].url
        if self._relays is not None:
            path = redis_url.rpartition("@")[2]
            redis_url = f"redis://:{PASSWORD}@127.0.0.1:{self._relays(path).port}/0"
            path = database_url.partition("host=")[2] + "/.s.PGSQL.5432"
            database_url = f"postgresql://postgres@127.0.0.1:{self._relays(path).port}/postgres"
        return {"REDIS_URL": redis_url, "DATABASE_URL": database_url}

    def postgres(self) -> Server:
        return migrated_postgres(self.path / "postgres")

    @property
    def postgres_programs(self) -> Path:
        """Where pg_dump and the others of its Postgres are."""
        return Path(self._servers["postgres"].program.argv[0]).parent

    def valkey(self) -> Server:
        return valkey(self.path / "valkey", PASSWORD)

    @property
    def redis_url(self) -> str:
        """Of its Valkey, with no network in between."""
        return self._servers["valkey"].url if self._beside is None else self._beside.redis_url

    def begin(self) -> None:
        """Migrate, start every process but Flower, and wait until all of them answer."""
        migrate()
        for program in self._programs():
            self.supervisor.start(program)
        try:
            self.wait_until_ready()
        except AssertionError as error:
            raise AssertionError(f"{error}; its processes wrote:\n{self.log()}") from None

    def end(self) -> None:
        """Kill everything that was started, whatever state it is in: nothing of it is needed any more."""
        for name in self.supervisor.names():
            self.process(name).send_all(signal.SIGKILL)
        self.supervisor.end()
        self._log.close()

    def _programs(self) -> list[Program]:
        programs = [pipeline.web(self.port), *self._consumers, *self._forwarders, pipeline.beat()]
        return [self._with_environment(program) for program in programs]

    def _with_environment(self, program: Program) -> Program:
        return replace(program, env={**program.env, **self._environment(program.name)})

    # Requests

    def post(self, content: Json | bytes, **headers: str) -> httpx.Response:
        """POST a signed body to the webhook; ``headers`` replace its own."""
        request = signed(content)
        return self.send(request.body, {**request.headers, **headers})

    def post_signed_as(self, content: bytes, signature: str) -> httpx.Response:
        """POST a body under any signature."""
        return self.send(content, {HEADER: signature})

    def send(self, content: bytes, headers: dict[str, str]) -> httpx.Response:
        return _client().post(f"{self.url}/webhook", content=content, headers=headers)

    def get(self, path: str, **query: str) -> httpx.Response:
        return _client().get(f"{self.url}{path}", params=query)

    # Processes and servers

    def process(self, name: str) -> Running:
        """What runs under ``name`` now; ``.process`` is a psutil.Process."""
        return self.supervisor[name]

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Signal a process and all that it has started, as a crash of its machine would."""
        self.supervisor.disable_restart(name)
        self.process(name).send_all(number)
        if number == signal.SIGKILL:
            self.wait_until(lambda: not self.process(name).alive)

    def kill_main(self, name: str, number: int = signal.SIGKILL) -> None:
        """Signal the main process alone, as the kernel's out-of-memory killer would."""
        self.process(name).send(number)

    def kill_of_pool(self, name: str) -> None:
        """Kill one process of a consumer's pool, as a crash in C code would."""
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            random.choice(self.process(name).process.children()).kill()

    def pause(self, name: str) -> None:
        """SIGSTOP: it keeps its connections and answers nobody."""
        self.process(name).send_all(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.process(name).send_all(signal.SIGCONT)

    def stop(self, name: str) -> None:
        """End one as a deploy would, and wait until it is gone."""
        self.supervisor.stop(name)

    def start(self, name: str) -> None:
        """Start one that is not running; a server is waited for, on its old port and data."""
        server = self._servers.get(name)
        if server is None:
            self.supervisor.start(self._program(name))
            return
        self.supervisor.start(server.program)
        self.wait_until(server.answers)

    def restart(self, name: str) -> None:
        """End one as a deploy would, and start it again."""
        self.stop(name)
        self.start(name)

    def start_flower(self, basic_auth: str) -> str:
        """Start Flower and wait until it answers; its URL."""
        self.supervisor.start(pipeline.flower(self.flower_port, basic_auth))
        url = f"http://127.0.0.1:{self.flower_port}"
        self.wait_until(lambda: _answers(f"{url}/healthcheck"))
        return url

    def _program(self, name: str) -> Program:
        return next(program for program in self._programs() if program.name == name)

    # Waiting

    def wait_until(
        self, condition: Callable[[], Found], timeout: float = WAIT_SECONDS, what: str = "the condition"
    ) -> Found:
        """What ``condition`` returns as soon as that is true; AssertionError after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            found = condition()
            if found:
                return found
            assert time.monotonic() < deadline, f"{what} did not come about within {timeout:g} s"
            time.sleep(POLL_SECONDS)

    def wait_until_ready(self) -> None:
        """Until the web can store and every ingest and worker process that runs answers."""
        self.wait_until(self._web_is_ready, READY_SECONDS, "the web's readiness")
        present = [program for program in self._consumers if self._runs(program.name)]
        self.wait_until(
            lambda: consumers_answer(present, settings()), READY_SECONDS, "an answer of every consumer"
        )

    def _web_is_ready(self) -> bool:
        assert self._runs("web"), "the web has ended"
        return web_is_ready(self.url)

    def _runs(self, name: str) -> bool:
        return name in self.supervisor and self.process(name).alive

    def log(self) -> str:
        """The last lines that all processes wrote."""
        lines = (self.path / "stack.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_LINES:])


@cache
def _client() -> httpx.Client:
    """One for all: to make it reads every certificate of the machine, a hundred times the work of a request."""
    limits = httpx.Limits(max_keepalive_connections=0)  # the web may have been another one a moment ago
    return httpx.Client(timeout=REQUEST_SECONDS, trust_env=False, limits=limits)


def _answers(url: str) -> bool:
    try:
        return _client().get(url).is_success
    except httpx.HTTPError:
        return False
