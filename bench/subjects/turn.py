"""A turn: one subject runs alone on stores of its own, is warmed up, and is measured."""

import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from app.dev.processes.children import Program, Records, Running, end, start
from app.dev.processes.parent_watchdog import watch
from app.dev.stack.embedded import free_port
from bench.subjects.catalog import Subject
from bench.subjects.stores import Stores, until
from bench.traffic.bodies import CONVERSATIONS, Kind, Numbers, Traffic
from bench.traffic.load import post
from bench.traffic.tally import Tally

READY_SECONDS = 60
WARM_EVENTS = 200
DONE_SECONDS = 1800
SAMPLE_SECONDS = 0.1  # between two counts, at least
COUNTING_SHARE = 0.05  # of a core, at most: a count of what is done takes longer the more it is


@dataclass
class Turn:
    """A subject that runs."""

    subject: Subject
    stores: Stores
    port: int
    running: dict[str, Running]
    done_before: int = 0
    numbers: Numbers = field(default_factory=Numbers)

    def traffic(self, count: int, kind: Kind = "messages", conversations: int = CONVERSATIONS) -> Traffic:
        """So many events that were never sent to this subject before."""
        return self.numbers.take(Traffic(kind, conversations), count)

    def post(self, traffic: Traffic, count: int, connections: int = 16) -> Tally:
        """As fast as they are answered."""
        return post(self.port, traffic, count, connections)

    def done(self) -> int:
        """Events that are done, without those of the warm-up."""
        return self.subject.done(self.stores) - self.done_before

    def until_done(self, count: int, seconds: float = DONE_SECONDS) -> list[tuple[float, int]]:
        """Wait for so many; how many were done at which moment (monotonic seconds). TimeoutError if they are not."""
        progress = self.progress(count, seconds)
        if progress[-1][1] < count:
            raise TimeoutError(f"{self.subject.name}: {progress[-1][1]} of {count} done after {seconds:g} s")
        return progress

    def progress(self, count: int, seconds: float) -> list[tuple[float, int]]:
        """How many were done at which moment (monotonic seconds), until it is so many or the time is over."""
        samples = [(time.monotonic(), self.done())]
        counting = time.monotonic() - samples[0][0]
        while samples[-1][1] < count and time.monotonic() < samples[0][0] + seconds:
            time.sleep(max(SAMPLE_SECONDS, counting / COUNTING_SHARE))
            began = time.monotonic()
            samples.append((began, self.done()))
            counting = time.monotonic() - began
        return samples

    def consumers(self) -> list[str]:
        return [name for name in self.running if name != "web"]

    def freeze(self, *names: str) -> None:
        """Stop processes where they are; all consumers unless some are named."""
        for name in names or self.consumers():
            self.running[name].send_all(signal.SIGSTOP)

    def thaw(self, *names: str) -> None:
        for name in names or self.consumers():
            self.running[name].send_all(signal.SIGCONT)

    def cpu_seconds(self) -> dict[str, float]:
        """What each process has used so far; a pool counts beside its main process, as ``name pool``."""
        used = {}
        for name, running in {**self.running, **self.stores.running}.items():
            own, children = tree(running)
            used[name] = _cpu([own])
            if children and name not in ("web", "postgres", "valkey"):
                used[f"{name} pool"] = _cpu(children)
            else:
                used[name] += _cpu(children)
        return used

    def memory_mib(self) -> dict[str, float]:
        """What each process, with its children, has for itself: shared pages count in parts."""
        everything = {**self.running, **self.stores.running}
        return {name: _memory([own, *children]) for name, (own, children) in _trees(everything).items()}


def tree(running: Running) -> tuple[psutil.Process, list[psutil.Process]]:
    """A process and everything below it."""
    return running.process, running.process.children(recursive=True)


def _trees(everything: Mapping[str, Running]) -> dict[str, tuple[psutil.Process, list[psutil.Process]]]:
    return {name: tree(running) for name, running in everything.items()}


def _cpu(processes: list[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        times = process.cpu_times()
        # Of children that have ended too: Postgres starts and ends them all the time
        total += times.user + times.system + times.children_user + times.children_system
    return total


def _memory(processes: list[psutil.Process]) -> float:
    sizes = [process.memory_full_info() for process in processes]
    return float(sum(getattr(size, "pss", size.rss) for size in sizes)) / 2**20


@contextmanager
def turn(
    subject: Subject,
    path: Path,
    *,
    web_processes: int = 1,
    consumers: list[Program] | None = None,
    postgres_options: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    keep: bool = False,
    warm: int = WARM_EVENTS,
    logs: Path | None = None,
) -> Iterator[Turn]:
    """Start a subject's stores and processes, see that an event goes all the way, and end everything.

    ``consumers``: an empty list is the web alone. ``logs``: a directory for what the processes write, which else
    nobody keeps.
    """
    path.mkdir(parents=True, exist_ok=True)
    records = Records.of_this_process(path)
    watchdog = watch(records)
    running: dict[str, Running] = {}
    stores = None
    try:
        stores = Stores.start(path, subject.redis_options, postgres_options, keep=keep)
        if not keep:
            subject.prepare(stores)
        port = free_port()
        told = {**subject.environment(stores), **(environment or {})}
        programs = [
            subject.web(port, web_processes),
            *(subject.consumers() if consumers is None else consumers),
        ]
        for program in programs:
            running[program.name] = _start(program, told, records, logs)
        until(lambda: _listens(port), READY_SECONDS, f"the web of {subject.name}")
        yield _warmed(Turn(subject, stores, port, running), warm)
    finally:
        for process in running.values():
            process.send_all(signal.SIGCONT)
            process.send_all(signal.SIGKILL)  # nothing of it is needed any more
        end(running.values())
        if stores is not None:
            stores.end()
        watchdog.stop()
        records.clear()


def _start(program: Program, told: Mapping[str, str], records: Records, logs: Path | None) -> Running:
    with_environment = Program(
        program.name,
        program.argv,
        {**program.env, **told},
        stop_signal=program.stop_signal,
        grace_seconds=program.grace_seconds,
    )
    if logs is None:
        return start(with_environment, records, subprocess.DEVNULL)
    logs.mkdir(parents=True, exist_ok=True)
    with (logs / f"{program.name}.log").open("ab") as output:
        return start(with_environment, records, output)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _warmed(found: Turn, events: int) -> Turn:
    """Connections are open and code is loaded once these events have gone all the way."""
    found.done_before = found.subject.done(found.stores) if found.subject.handles else 0
    if events:
        found.post(found.traffic(events), events)
        if found.subject.handles and (found.consumers() or not found.subject.consumers()):
            found.until_done(events, READY_SECONDS)
            found.done_before += events
    return found
