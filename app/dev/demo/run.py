"""The whole pipeline under traffic, with a worker killed in the middle.

Everything it starts is its own: stores in a directory that it removes, ports that are free, settings from nowhere.
A pipeline that runs beside it, its stores and ``.neverdrop`` are never touched.
"""

import signal
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from app.dev.demo.environment import data_directory, own_settings, stoppable
from app.dev.judge import EffectBase, Entry, Facts, PastFault, queries
from app.dev.processes import Printer
from app.dev.simulator import Answer, Options, PostAddress, Sender, expected_events, plan, progress_bar
from app.dev.stack import Plan, Stack, free_port, running
from app.errors import NeverdropError
from app.stores import connections
from config.settings import settings

READY_SECONDS = 60
STALLED_SECONDS = 60  # without any progress: twice a claim's lease
FINISH_SECONDS = 240  # after the last answer, on a machine that is busy with other things
TICK_SECONDS = 0.2
KILL_AFTER = 0.3  # of the posts have been answered


class DemoError(NeverdropError):
    """The demo could not begin; the text says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the demo does: the traffic, in turns a second, on so many workers of so many processes."""

    traffic: Options
    rate: float = 150.0
    workers: int = 2
    concurrency: int = 2


def run(scenario: Scenario, log: Path, console: Console) -> Facts:
    """Run a scenario on a pipeline of its own, and end it; what is to be judged.

    ``log`` takes the lines of all processes. Stopped after a signal; DemoError if the pipeline does not get ready.
    """
    with own_settings(), data_directory() as data, log.open("w", encoding="utf-8") as lines:
        stack_plan = Plan(
            data,
            port=free_port(),
            flower_port=None,
            workers=scenario.workers,
            concurrency=scenario.concurrency,
        )
        with (
            stoppable(Printer(lines)) as supervise,
            running(stack_plan, supervise) as stack,
            progress_bar(console) as bars,
        ):
            try:
                return DemoRun(scenario, stack, bars).run()
            finally:
                connections.engine().dispose()
                connections.redis().close()
                stack.supervisor.kill()  # nothing is left to be done: what goes on now is for the bin


class DemoRun:
    """A scenario under way. All waiting is done in ``_tick_until``, so that what ended is started again."""

    def __init__(self, scenario: Scenario, stack: Stack, bars: Progress) -> None:
        self._posts = plan(scenario.traffic)
        self._expected = expected_events(self._posts)
        self._slow = [planned.key for planned in self._expected if planned.slow]
        self._stack = stack
        self._supervisor = stack.supervisor
        self._bars = bars
        self._posted = bars.add_task("posts answered", total=len(self._posts))
        self._final = bars.add_task("events final", total=len(self._expected))
        self._answered = 0
        self._kill: PastFault | None = None
        self._moved = (0, 0)  # events and final ones, at the last progress
        self._moved_at = time.monotonic()
        self._sender = Sender(
            PostAddress(f"{stack.url}/webhook", settings().app_secrets[0], scenario.rate),
            self._supervisor.stopping,
        )

    def run(self) -> Facts:
        """Wait until the pipeline is ready, send, kill, wait until all is final, and read the tables."""
        if not self._tick_until(self._stack.ready, READY_SECONDS):
            raise DemoError(f"the pipeline was not ready within {READY_SECONDS} s")
        EffectBase.metadata.create_all(connections.engine())
        with ThreadPoolExecutor(1) as thread:
            sending = thread.submit(self._sender.send, self._posts, self._count)
            self._tick_until(lambda: self._going_on(sending))
        answers = sending.result()
        self._tick_until(lambda: self._finished() or self._stalled(), FINISH_SECONDS)
        entries = [Entry(each.post.events, list(each.tries), each.post.forged) for each in answers]
        facts = queries.read(connections.engine(), connections.redis(), entries)
        return replace(facts, faults=[self._kill] if self._kill else [])

    def _tick_until(self, condition: Callable[[], bool], seconds: float = float("inf")) -> bool:
        """Whether the condition came true in time; Stopped as soon as somebody wants the end."""
        deadline = time.monotonic() + seconds
        while not condition():
            self._supervisor.restart_ended()
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
        progress = self._measure()
        if self._kill is None and not self._kill_worker_inside() and progress.final == progress.events:
            self._kill_worker("worker1")  # no slow handler was ever seen at work
        return self._kill is not None and len(self._expected) <= progress.events and not progress.unfinished

    def _measure(self) -> queries.PipelineProgress:
        progress = queries.progress(connections.engine(), connections.redis())
        self._bars.update(self._final, completed=progress.final)
        if self._moved != (progress.events, progress.final):
            self._moved, self._moved_at = (progress.events, progress.final), time.monotonic()
        return progress

    def _stalled(self) -> bool:
        return time.monotonic() > self._moved_at + STALLED_SECONDS

    def _kill_worker_inside(self) -> bool:
        """Kill a worker that has just begun to handle a slow message, so that it is in the middle of it."""
        name = queries.worker_inside(connections.engine(), self._slow)
        if name is None:
            return False
        self._kill_worker(name)
        return True

    def _kill_worker(self, name: str) -> None:
        """Its main process and its pool, as if their machine had died."""
        self._supervisor[name].send_all(signal.SIGKILL)
        killed_at = queries.now(connections.engine())
        self._kill = PastFault("kill_worker", killed_at, killed_at, pids=None, target=name)
        self._bars.console.print(f"killed {name} in the middle, with SIGKILL")
