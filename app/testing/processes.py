"""The third depth: every process, as ``neverdrop up`` starts them, over stores of their own."""

import asyncio
import hmac
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import httpx
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from app.dev.graph import StandIn, Webhooks, application
from app.dev.processes import Printer, Supervisor
from app.dev.stack import Plan, Stack, free_port, running
from app.handlers import Registry
from app.stores import JOURNAL, engine, redis
from app.testing import kept, time_shift
from app.testing.failed_run import FailedRun
from app.testing.inline_tasks import close_loop, end_process
from app.testing.meta import Meta
from app.testing.own_session import fresh, open_session
from app.testing.team_models import create_tables
from config.settings import DEVELOPMENT_APP_SECRET, settings

READY_SECONDS = 90
QUIET_SECONDS = 60  # on a busy machine
POLL_SECONDS = 0.05
POST_SECONDS = 20
LOG_LINES = 100  # shown when it does not come to rest


class Processes:
    """A stack that runs, and the stand-in for Meta that it talks to."""

    def __init__(self, stack: Stack, stand_in: StandIn, log: Path) -> None:
        self._stack = stack
        self._stand_in = stand_in
        self._log = log
        self._session = open_session(settings().database_url)

    @property
    def session(self) -> Session:
        """A session of the test's own, which sees what is committed."""
        return fresh(self._session)

    def deliver(self, body: bytes) -> None:
        """Post a body, signed, until it is acknowledged."""
        digest = hmac.new(DEVELOPMENT_APP_SECRET.encode(), body, sha256).hexdigest()
        headers = {"X-Hub-Signature-256": f"sha256={digest}"}

        def is_taken() -> bool:
            try:
                answer = httpx.post(
                    f"{self._stack.url}/webhook",
                    content=body,
                    headers=headers,
                    timeout=POST_SECONDS,
                    trust_env=False,
                )
            except httpx.HTTPError:
                return False
            return answer.status_code == httpx.codes.OK

        self._wait(is_taken, "the webhook")

    def settle(self) -> None:
        """Wait until everything that can run now has run, and Meta has reported on what it took."""
        self._wait(lambda: not self._is_busy(), "rest")

    def move(self, time: timedelta) -> None:
        """Move all times in the stores into the past; beat's sweeps find what is due then."""
        time_shift.shift(engine(), redis(), time)

    def failures(self) -> list[FailedRun]:
        return kept.failures(engine())

    def stopped(self) -> list[str]:
        return kept.stopped(engine())

    def close(self) -> None:
        self._session.close()
        end_process()

    def _is_busy(self) -> bool:
        return self._stand_in.is_reporting or redis().hlen(JOURNAL) > 0 or kept.is_busy(engine())

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + QUIET_SECONDS
        while not condition():
            self._stack.supervisor.restart_ended()
            if time.monotonic() > deadline:
                lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
                raise AssertionError(f"{what} did not come within {QUIET_SECONDS} s:\n" + "\n".join(lines))
            time.sleep(POLL_SECONDS)


@contextmanager
def open_processes(handlers: Registry, meta: Meta, tables: bool) -> Iterator[Processes]:
    """Start everything with these handlers, and end it with the block."""
    path = Path(tempfile.mkdtemp(prefix="nd-"))  # pytest's own is closed to the user that Postgres runs as
    path.chmod(0o711)
    with ExitStack() as started:
        started.callback(shutil.rmtree, path, ignore_errors=True)
        started.enter_context(_environment_restored())
        stand_in, url = started.enter_context(_stand_in(meta))
        os.environ["WHATSAPP_API_URL"] = url
        os.environ["HANDLERS"] = ",".join(sorted({each.function.__module__ for _, each in handlers.items()}))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
        end_process()
        log = path / "stack.log"
        printer = Printer(started.enter_context(log.open("a", encoding="utf-8")))
        plan = Plan(path / "data", port=free_port(), flower_port=None)
        stack = started.enter_context(running(plan, lambda records: Supervisor(records, printer)))
        stand_in.webhooks = Webhooks(f"{stack.url}/webhook", DEVELOPMENT_APP_SECRET)
        processes = Processes(stack, stand_in, log)
        started.callback(processes.close)
        _wait_until_ready(stack, log)
        if tables:
            _create_tables(handlers)
        yield processes


def _wait_until_ready(stack: Stack, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not stack.ready():
        if time.monotonic() > deadline:
            raise AssertionError("the stack did not become ready:\n" + log.read_text(encoding="utf-8"))
        time.sleep(POLL_SECONDS)


def _create_tables(handlers: Registry) -> None:
    """Create the team's tables; an ``on_start`` of a worker may be at it too."""
    try:
        with engine().begin() as connection:
            create_tables(connection, handlers)
    except SQLAlchemyError:
        with engine().begin() as connection:
            create_tables(connection, handlers)


@contextmanager
def _environment_restored() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        settings.cache_clear()


@contextmanager
def _stand_in(meta: Meta) -> Iterator[tuple[StandIn, str]]:
    """Serve Meta's part over HTTP from a thread; yield the stand-in and its address."""
    loop = asyncio.new_event_loop()
    stand_in = StandIn("", DEVELOPMENT_APP_SECRET)
    stand_in.chats, stand_in.refusals, stand_in.signals = meta.chats, meta.refusals, meta.signals
    socket, port = bind_unused_port(address="127.0.0.1")
    begun, ended = threading.Event(), asyncio.Event()

    async def serve() -> None:
        server = HTTPServer(application(stand_in))
        server.add_socket(socket)
        begun.set()
        await ended.wait()
        server.stop()
        await server.close_all_connections()
        await stand_in.webhooks.close()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        close_loop(loop)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait()
    try:
        yield stand_in, f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
