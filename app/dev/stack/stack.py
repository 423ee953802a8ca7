"""The whole pipeline on one machine: stores of its own where none are given, and every process.

Order of the start: names and ports are checked, the data directory locked, leftovers ended; then the servers, the
migrations, the processes. The end goes the other way, and comes about however this process ends: by itself,
by a signal, or by its watchdog when it was killed.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_urlsafe

from app.dev import data_directory
from app.dev.data_directory import DATA_DIRECTORY, credential
from app.dev.handler_check import HandlerCheck
from app.dev.processes import ParentWatchdog, Program, Records, Supervisor, watch
from app.dev.stack import programs as pipeline
from app.dev.stack.embedded import Server, postgres, valkey
from app.dev.stack.readiness import consumers_answer, web_is_ready
from app.dev.stack.reload import Reload
from app.dev.stack.shadowing import check_working_directory
from app.dev.stack.tunnel import Tunnel, program_of
from app.errors import NeverdropError
from app.stores import connections, migrate
from config.settings import Settings, load, settings

FIRST_HANDLERS = "app.handlers.echo"  # so that a first message is handled by something
LOOPBACK = "127.0.0.1"
STAND_IN_TOKEN = "stand-in"  # noqa: S105  (any is taken)
SERVER_START_SECONDS = 60  # recovery after a crash takes the longest
POLL_SECONDS = 0.05
# A busy consumer would sleep through its whole soft shutdown; whoever stops a stack wants to go on, and what
# is unfinished is found at the next start.
CONSUMER_GRACE_SECONDS = 8


class StackError(NeverdropError):
    """The stack cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. ``flower_port`` None is without Flower; ``concurrency`` None is one handler a core."""

    data: Path = DATA_DIRECTORY
    host: str = LOOPBACK
    port: int = 8000
    flower_port: int | None = 5555
    workers: int = 1
    ingests: int = 1
    concurrency: int | None = None
    chat_port: int | None = None  # of the stand-in for Meta; None: no stand-in
    reload: bool = False  # whether handlers that are saved are loaded anew
    tunnel: Tunnel | None = None

    @property
    def consumers(self) -> list[Program]:
        """The Celery workers: of ``webhooks``, of ``conversations`` and of ``outbox``."""
        programs = [
            *(pipeline.ingest(number) for number in range(1, self.ingests + 1)),
            *(pipeline.worker(number, self.concurrency) for number in range(1, self.workers + 1)),
            pipeline.sender(),
        ]
        return [replace(program, grace_seconds=CONSUMER_GRACE_SECONDS) for program in programs]


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that runs. ``embedded`` names its own servers; ``flower_auth`` is user:password."""

    plan: Plan
    settings: Settings
    embedded: tuple[str, ...]
    flower_auth: str
    supervisor: Supervisor
    reload: Reload | None = None

    @property
    def url(self) -> str:
        return f"http://{_reachable(self.plan.host)}:{self.plan.port}"

    def ready(self) -> bool:
        """Whether the web can store a delivery and every ingest and worker process answers."""
        return web_is_ready(self.url) and consumers_answer(self.plan.consumers, self.settings)


def _reachable(host: str) -> str:
    return LOOPBACK if host in ("0.0.0.0", "") else host  # noqa: S104  (compared, not bound)


@contextlib.contextmanager
def running(plan: Plan, supervise: Callable[[Records], Supervisor]) -> Iterator[Stack]:
    """Start a stack, and end it with the block. What it started may still be on its way up: ask ``ready``.

    The stores' URLs are set in the environment of this process too. Raises NeverdropError if the stack
    cannot start, SettingsError for the environment, and SQLAlchemyError for a DATABASE_URL that does not work.
    """
    os.environ.setdefault("NEVERDROP_ENV", "development")
    os.environ.setdefault("LOG_FORMAT", "console")
    if os.environ["NEVERDROP_ENV"] == "development":
        os.environ.setdefault("HANDLERS", FIRST_HANDLERS)
    given = load()
    if plan.tunnel:
        _prepare_for_the_public(given)
    plan = _with_stand_in(plan, given)
    check_working_directory(Path.cwd())
    data = plan.data.resolve()
    with data_directory.locked(data):
        data_directory.end_leftovers(data)
        check_ports(plan)  # only now: what was left listens on the same ports
        records = Records.of_this_process(data)
        supervisor = supervise(records)
        watchdog = watch(records)
        with contextlib.ExitStack() as opened:
            check = HandlerCheck()
            opened.callback(check.stop)
            opened.callback(_end, data, supervisor, watchdog, records)
            embedded = _open_stores(given, data, supervisor)
            yield _start(plan, data, embedded, supervisor, check, opened)


def _end(data: Path, supervisor: Supervisor, watchdog: ParentWatchdog, records: Records) -> None:
    data_directory.withdraw(data)
    supervisor.end()
    watchdog.stop()
    records.clear()


def _prepare_for_the_public(given: Settings) -> None:
    """Close what a tunnel would open: StackError where anybody could sign; numbers are for who has a token."""
    if not given.whatsapp_app_secret:
        raise StackError(
            "--tunnel: set WHATSAPP_APP_SECRET to that of your app. The development secret is public, and so is the"
            " tunnel: Meta's posts would be refused, and anybody's taken"
        )
    if not given.metrics_token.get_secret_value():
        os.environ["METRICS_TOKEN"] = token_urlsafe()


def _with_stand_in(plan: Plan, given: Settings) -> Plan:
    """Return the plan with a stand-in for Meta only where there is no token of Meta's, in development."""
    if plan.chat_port is None or given.access_tokens or given.neverdrop_env != "development":
        return replace(plan, chat_port=None)
    os.environ["WHATSAPP_API_URL"] = f"http://{LOOPBACK}:{plan.chat_port}"
    os.environ["WHATSAPP_ACCESS_TOKEN"] = STAND_IN_TOKEN
    return plan


def _start(
    plan: Plan,
    data: Path,
    embedded: tuple[str, ...],
    supervisor: Supervisor,
    check: HandlerCheck,
    opened: contextlib.ExitStack,
) -> Stack:
    connections.reset()
    settings.cache_clear()
    migrate()
    given = settings()
    reload = _reload(plan, given, supervisor, opened) if plan.reload else None
    if (fault := check.fault()) is not None:
        if reload is None:
            raise StackError(fault)
        reload.await_good_code(fault)
    flower_auth = given.flower_basic_auth.get_secret_value() or f"neverdrop:{credential(data, 'flower')}"
    data_directory.publish(data, {**os.environ, "PORT": str(plan.port)})
    for program in _programs(plan, flower_auth, has_targets=bool(given.forward_url or given.targets)):
        supervisor.start(program)
    return Stack(plan, given, embedded, flower_auth, supervisor, reload)


def _reload(plan: Plan, given: Settings, supervisor: Supervisor, opened: contextlib.ExitStack) -> Reload:
    with_handlers = [program for program in plan.consumers if not program.name.startswith("sender")]
    reload = Reload(supervisor, given.handlers, with_handlers)
    opened.callback(reload.stop)
    return reload


def _programs(plan: Plan, flower_auth: str, *, has_targets: bool) -> Iterator[Program]:
    yield pipeline.web(plan.port, plan.host)
    yield from plan.consumers
    yield pipeline.beat()
    if has_targets:
        yield pipeline.forwarder()
    if plan.chat_port:
        yield pipeline.graph(plan.chat_port, f"http://{_reachable(plan.host)}:{plan.port}/webhook")
    if plan.tunnel:
        yield program_of(plan.tunnel, plan.port)
    if plan.flower_port:
        yield pipeline.flower(plan.flower_port, flower_auth)


def _open_stores(given: Settings, data: Path, supervisor: Supervisor) -> tuple[str, ...]:
    """Start a server for each store that is not given, and put its URL into the environment."""
    servers: dict[str, Server] = {}
    if not given.redis_url:
        servers["REDIS_URL"] = valkey(data / "valkey", credential(data, "valkey"))
    if not given.database_url:
        servers["DATABASE_URL"] = postgres(data / "postgres")
    for variable, server in servers.items():
        if server.program.user is not None:
            supervisor.say(
                f"as root: Postgres runs as the user {server.program.user}, its data is in {server.data}"
            )
        supervisor.start(server.program)
        os.environ[variable] = server.url
    for server in servers.values():
        _await(server, supervisor)
    return tuple(server.program.name for server in servers.values())


def _await(server: Server, supervisor: Supervisor) -> None:
    name = server.program.name
    deadline = time.monotonic() + SERVER_START_SECONDS
    while not server.answers():
        supervisor.check()
        if not supervisor[name].alive:
            raise StackError(f"{name} ended at once: its reason is in the lines above")
        if time.monotonic() > deadline:
            raise StackError(f"{name} did not answer within {SERVER_START_SECONDS} s")
        time.sleep(POLL_SECONDS)


def check_ports(plan: Plan) -> None:
    """StackError names a port that cannot be listened on, and the option that chooses another."""
    _check_port(plan.host, plan.port, "--port")
    others = {"--flower-port": plan.flower_port, "--chat-port": plan.chat_port}
    for option, port in others.items():
        if port:
            _check_port(LOOPBACK, port, option)
        if port == plan.port:
            raise StackError(f"--port and {option} are both {plan.port}")
    if plan.flower_port and plan.flower_port == plan.chat_port:
        raise StackError(f"--flower-port and --chat-port are both {plan.chat_port}")


def _check_port(host: str, port: int, option: str) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StackError(
                f"port {port} on {host} cannot be used ({error.strerror}): choose another with {option}"
            ) from error
