"""``neverdrop demo``: the whole pipeline under traffic, with a worker killed in the middle, and a verdict.

Everything it starts is its own: stores in a directory that it removes, ports that are free, settings from nowhere.
A pipeline that runs beside it, its stores and ``.neverdrop`` are never touched.
"""

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

import click
from rich.console import Console
from rich.progress import Progress

from app.dev.demo import report as demo_report
from app.dev.demo import tables as demo_tables
from app.dev.demo.facts import Facts, Kill, Sent
from app.dev.demo.verdict import judge
from app.dev.simulator.simulator import Answer, Sender, Target, progress_bar
from app.dev.simulator.traffic import Options, expected_events, plan
from app.dev.stack.embedded import free_port
from app.dev.stack.processes import Records
from app.dev.stack.stack import Plan, Stack, running
from app.dev.stack.supervisor import Printer, Stopped, Supervisor
from app.errors import NeverdropError
from app.stores import connections
from config.settings import Settings, settings

READY_SECONDS = 60
STALLED_SECONDS = 60  # without any progress: twice a claim's lease
FINISH_SECONDS = 240  # after the last answer, on a machine that is busy with other things
TICK_SECONDS = 0.2
KILL_AFTER = 0.3  # of the posts have been answered
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class DemoError(NeverdropError):
    """The demo could not begin; the text says why."""


@dataclass(frozen=True, slots=True)
class Script:
    """What is played: the traffic, in turns a second, on so many workers of so many processes."""

    traffic: Options
    rate: float = 150.0
    workers: int = 2
    concurrency: int = 2


FULL = Options(
    messages=1000,
    statuses=3000,
    conversations=50,
    failing=40,
    doomed=3,
    slow=8,
    forged=10,
    largest_batch=8,
)


@click.command()
@click.option("--seed", default=FULL.seed, show_default=True, help="of the traffic")
def demo(seed: int) -> None:
    """Run a pipeline under traffic, kill a worker, and judge what became of every event.

    Exit status 1 if a promise was broken or it could not finish.
    """
    console = Console()
    began = time.monotonic()
    traffic = replace(FULL, seed=seed, start=int(time.time()) - FULL.seconds)
    with _log_file() as log:
        facts = run(Script(traffic), log, console)
        judgements = judge(facts)
        demo_report.show(console, facts, judgements, time.monotonic() - began)
        if not all(judgement.kept for judgement in judgements):
            raise SystemExit(1)


def run(script: Script, log: Path, console: Console) -> Facts:
    """Play a script on a pipeline of its own, and end it; what is to be judged.

    ``log`` takes the lines of all processes. Stopped after a signal; DemoError if the pipeline does not get ready.
    """
    with _own_settings(), _data_directory() as data, log.open("w", encoding="utf-8") as lines:
        stack_plan = Plan(
            data, port=free_port(), flower_port=None, workers=script.workers, concurrency=script.concurrency
        )
        with (
            _stoppable(Printer(lines)) as supervise,
            running(stack_plan, supervise) as stack,
            progress_bar(console) as bars,
        ):
            try:
                return _Performance(script, stack, bars).play()
            finally:
                connections.engine().dispose()
                connections.redis().close()
                stack.supervisor.kill()  # nothing is left to be done: what goes on now is for the bin


class _Performance:
    """A script being played. All waiting is done in ``_tick_until``, so that what ended is started again."""

    def __init__(self, script: Script, stack: Stack, bars: Progress) -> None:
        self._posts = plan(script.traffic)
        self._expected = expected_events(self._posts)
        self._slow = [planned.key for planned in self._expected if planned.slow]
        self._stack = stack
        self._supervisor = stack.supervisor
        self._bars = bars
        self._posted = bars.add_task("posts answered", total=len(self._posts))
        self._final = bars.add_task("events final", total=len(self._expected))
        self._answered = 0
        self._kill: Kill | None = None
        self._moved = (0, 0)  # events and final ones, at the last progress
        self._moved_at = time.monotonic()
        self._sender = Sender(
            Target(f"{stack.url}/webhook", settings().app_secrets[0], script.rate), self._supervisor.stopping
        )

    def play(self) -> Facts:
        """Wait until the pipeline is ready, send, kill, wait until all is final, and read the tables."""
        if not self._tick_until(self._stack.ready, READY_SECONDS):
            raise DemoError(f"the pipeline was not ready within {READY_SECONDS} s")
        demo_tables.make_table(connections.engine())
        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(self._sender.send, self._posts, self._count)
            self._tick_until(lambda: self._going_on(sending))
        answers = sending.result()
        self._tick_until(lambda: self._finished() or self._stalled(), FINISH_SECONDS)
        return demo_tables.read(
            connections.engine(), connections.redis(), self._expected, sent_of(answers), self._kill
        )

    def _tick_until(self, condition: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Whether the condition came true in time; Stopped as soon as somebody wants the end."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._supervisor.keep()
            if time.monotonic() > deadline:
                return False
            self._supervisor.stopping.wait(TICK_SECONDS)
            self._supervisor.check()
        return True

    def _count(self, _answer: Answer) -> None:
        self._answered += 1
        self._bars.advance(self._posted)

    def _going_on(self, sending: "Future[list[Answer]]") -> bool:
        """Kill when it is time; whether the sender is through."""
        self._measure()
        if self._kill is None and self._answered > KILL_AFTER * len(self._posts):
            self._kill_worker_inside()
        return sending.done()

    def _finished(self) -> bool:
        """Whether all is final, and the kill has been."""
        still = self._measure()
        if self._kill is None and not self._kill_worker_inside() and still.final == still.events:
            self._kill_worker("worker1")  # no slow handler was ever seen at work
        return (
            self._kill is not None
            and len(self._expected) <= still.events == still.final
            and not still.waiting
            and still.dead == still.dead_letters
        )

    def _measure(self) -> demo_tables.Advance:
        advance = demo_tables.measure(connections.engine(), connections.redis())
        self._bars.update(self._final, completed=advance.final)
        if self._moved != (advance.events, advance.final):
            self._moved, self._moved_at = (advance.events, advance.final), time.monotonic()
        return advance

    def _stalled(self) -> bool:
        return time.monotonic() > self._moved_at + STALLED_SECONDS

    def _kill_worker_inside(self) -> bool:
        """Kill a worker that has just begun to handle a slow message, so that it is in the middle of it."""
        name = demo_tables.worker_inside(connections.engine(), self._slow)
        if name is None:
            return False
        self._kill_worker(name)
        return True

    def _kill_worker(self, name: str) -> None:
        """Its main process and its pool, as if their machine had died."""
        self._supervisor[name].send_all(signal.SIGKILL)
        self._kill = Kill(name, demo_tables.now(connections.engine()))
        self._bars.console.print(f"killed {name} in the middle, with SIGKILL")


def sent_of(answers: Sequence[Answer]) -> Sent:
    """What the answers say, counted."""
    genuine = [answer for answer in answers if not answer.post.forged]
    forged = [answer for answer in answers if answer.post.forged]
    acknowledged = [answer for answer in genuine if answer.acknowledged]
    return Sent(
        posts=len(genuine),
        tries=sum(len(answer.tries) for answer in genuine),
        acknowledged=len(acknowledged),
        acknowledged_items=sum(len(answer.post.events) for answer in acknowledged),
        tried_items=sum(len(answer.post.events) * len(answer.tries) for answer in genuine),
        forged=len(forged),
        forged_acknowledged=sum(answer.acknowledged for answer in forged),
    )


@contextlib.contextmanager
def _own_settings() -> Iterator[None]:
    """An environment in which nothing is set but what the demo sets; the old one comes back."""
    before = dict(os.environ)
    for name in before:
        if name.lower().removesuffix("_file") in Settings.model_fields:
            del os.environ[name]
    os.environ.update(
        NEVERDROP_ENV="development",
        LOG_FORMAT="json",
        HANDLERS="app.dev.demo.handlers",
        WHATSAPP_APP_SECRET=secrets.token_hex(),
    )
    _reset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _reset()


def _reset() -> None:
    connections.reset()
    settings.cache_clear()


@contextlib.contextmanager
def _data_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="neverdrop-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _log_file() -> Iterator[Path]:
    """For the lines of all processes; it stays, and is named, if the block does not end well."""
    descriptor, name = tempfile.mkstemp(prefix="neverdrop-demo-", suffix=".log")
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    except Stopped:
        path.unlink()
        raise
    except BaseException:
        click.echo(f"what all processes said: {path}", err=True)
        raise
    path.unlink()


@contextlib.contextmanager
def _stoppable(printer: Printer) -> Iterator[Callable[[Records], Supervisor]]:
    """Makes a supervisor that the signals stop: the first gently, the next at once."""
    made: list[Supervisor] = []

    def supervise(records: Records) -> Supervisor:
        made.append(Supervisor(records, printer))
        return made[0]

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not made:
            raise KeyboardInterrupt
        if made[0].stopping.is_set():
            made[0].kill()
        made[0].stopping.set()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield supervise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
