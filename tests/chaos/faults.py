"""What each fault does to the processes.

A fault is a generator: it acts, yields a condition, and is resumed when that has come true. All run in one
thread, so the supervisor is used by one at a time.
"""

import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

import psutil

from app.dev.processes.children import Running
from app.stores.connections import redis
from app.stores.redis_keys import JOURNAL
from tests.chaos import aim, grey, operations, surroundings
from tests.chaos.cluster import Cluster
from tests.chaos.schedule import (
    FORWARDERS,
    OTHER_RELEASE,
    PROCESSES,
    SENDERS,
    STORES,
    WORKERS,
    Fault,
    Happened,
    conflict,
)
from tests.chaos.steps import Steps, after, ended

SLACK_SECONDS = 2.0  # after its grace a platform kills
PATIENCE_SECONDS = 10.0  # for a Valkey that has nothing to write
AIM_SECONDS = 30.0  # for a worker that has nothing slow in its hands


class Faults:
    """Runs a schedule; ``tick`` is called several times a second."""

    def __init__(self, cluster: Cluster, schedule: list[Fault], disk: "Callable[[], Any] | None") -> None:
        self.happened: list[Happened] = []
        self._cluster = cluster
        self._left = sorted(schedule, key=lambda fault: fault.at)
        self._open: list[tuple[Happened, Steps, Callable[[], bool]]] = []
        self._disk = disk

    @property
    def over(self) -> bool:
        return not self._left and not self._open

    def tick(self, elapsed: float) -> list[Fault]:
        """Begin what is due, go on with what may go on; those that began."""
        began = []
        for fault in [fault for fault in self._left if fault.at <= elapsed]:
            if any(conflict(fault, event.fault) for event, *_ in self._open):
                continue  # that one takes longer than was planned
            self._left.remove(fault)
            event = Happened(fault, time.time())
            self.happened.append(event)
            self._resume(event, self._steps(event))
            began.append(fault)
        for each in list(self._open):
            event, steps, condition = each
            if condition():
                self._open.remove(each)
                self._resume(event, steps)
        return began

    def _resume(self, event: Happened, steps: Steps) -> None:
        condition = next(steps, None)
        if condition is None:
            event.until = time.time()
        else:
            self._open.append((event, steps, condition))

    def _steps(self, event: Happened) -> Steps:
        kind = event.fault.kind
        others = {**grey.KINDS, **surroundings.KINDS, **operations.KINDS}
        if kind in others:
            return others[kind](self._cluster, event)
        match kind.split("_", 1):
            case ["kill", "worker_main"]:
                return self._kill_main(event)
            case ["kill", "ingest_child" | "worker_child" | "sender_child"]:
                return self._kill_child(event)
            case ["kill", "web" | "ingest" | "worker" | "sender" | "forwarder"]:
                return self._kill(event)
            case ["kill", _]:
                return self._take_away(event, signal.SIGKILL, whole=True)
            case ["restart", _]:
                return self._take_away(event, signal.SIGINT, whole=False)
            case ["term", _]:
                return self._terminate(event, event.fault.target)
            case ["stop", _]:
                return self._stop(event)
        return {
            "deploy_workers": self._deploy,
            "release": self._release,
            "skew_web": self._skew,
            "flush_queues": self._flush,
            "fill_disk": self._fill,
        }[kind](event)

    # Processes

    def _note(self, event: Happened, name: str) -> None:
        event.pids |= {child.pid for child in self._cluster.pool(name)}

    def _aim(self, event: Happened) -> Steps:
        """Wait until the process is in the middle of something, or for AIM_SECONDS: the fault begins then."""
        name = event.fault.target
        if name in (*WORKERS, *SENDERS, *FORWARDERS):
            patient = after(AIM_SECONDS)
            yield lambda: patient() or self._is_busy(name)
            event.at = time.time()

    def _is_busy(self, name: str) -> bool:
        if name in WORKERS:
            return bool(self._busy(name))
        if not self._postgres_answers():
            return False
        if name in SENDERS:
            return aim.sending(self._cluster.engine)
        return aim.forwarding(self._cluster.engine, self._cluster.running(name).process.pid)

    def _postgres_answers(self) -> bool:
        """Whether nothing was done to a store: else Postgres might not answer."""
        return not any(other.fault.target in STORES for other, *_ in self._open)

    def _busy(self, name: str) -> list[psutil.Process]:
        if not self._postgres_answers():
            return []
        pids = aim.busy(self._cluster.engine, name)
        return [child for child in self._cluster.pool(name) if child.pid in pids]

    def _kill(self, event: Happened) -> Steps:
        yield from self._aim(event)
        self._note(event, event.fault.target)
        self._cluster.running(event.fault.target).send_all(signal.SIGKILL)

    def _kill_main(self, event: Happened) -> Steps:
        yield from self._aim(event)
        self._note(event, event.fault.target)
        self._cluster.running(event.fault.target).send(signal.SIGKILL)

    def _kill_child(self, event: Happened) -> Steps:
        yield from self._aim(event)
        pool = self._busy(event.fault.target) or self._cluster.pool(event.fault.target)
        if pool:
            victim = pool[int(event.fault.at * 100) % len(pool)]
            event.pids.add(victim.pid)
            _signal(victim, signal.SIGKILL)

    def _terminate(self, event: Happened, name: str) -> Steps:
        """As a platform does: SIGTERM, its grace, then SIGKILL; the cluster starts it again."""
        running = self._cluster.running(name)
        running.send(running.program.stop_signal)
        yield ended(running, running.program.grace_seconds + SLACK_SECONDS)
        if running.alive:
            event.pids |= {child.pid for child in self._cluster.pool(name)}
            running.send_all(signal.SIGKILL)

    def _deploy(self, event: Happened, names: Sequence[str] = WORKERS) -> Steps:
        for name in names:
            before = self._cluster.running(name)
            yield from self._terminate(event, name)
            yield self._replaced(name, before)

    def _release(self, event: Happened) -> Steps:
        """Restart one kind of process after the other, while a worker of another release takes part."""
        self._cluster.supervisor.start(self._cluster.program(OTHER_RELEASE))
        yield from self._deploy(event, PROCESSES)
        self._cluster.disable_restart(OTHER_RELEASE)
        running = self._cluster.running(OTHER_RELEASE)
        running.send(running.program.stop_signal)
        yield ended(running, running.program.grace_seconds + SLACK_SECONDS)
        running.send_all(signal.SIGKILL)

    def _replaced(self, name: str, before: Running) -> Callable[[], bool]:
        return lambda: self._cluster.running(name) is not before

    def _stop(self, event: Happened) -> Steps:
        """Its connections stay open, and it answers nobody."""
        yield from self._aim(event)
        running = self._cluster.running(event.fault.target)
        stopped = _tree(running.process)
        if event.fault.target in WORKERS:
            event.pids |= {process.pid for process in stopped}
        running.send_all(signal.SIGSTOP)
        yield after(event.fault.seconds)
        running.send_all(signal.SIGCONT)
        for process in stopped:
            _signal(process, signal.SIGCONT)

    def _take_away(self, event: Happened, number: int, *, whole: bool) -> Steps:
        """End a server or beat, and start it after a while."""
        name = event.fault.target
        self._cluster.disable_restart(name)
        running = self._cluster.running(name)
        (running.send_all if whole else running.send)(number)
        yield after(event.fault.seconds)
        yield lambda: not running.alive
        yield from self._bring_back(name)

    def _bring_back(self, name: str) -> Steps:
        self._cluster.start(name)
        server = self._cluster.servers.get(name)
        if server:
            yield server.answers

    # Clocks and data

    def _skew(self, event: Happened) -> Steps:
        name = event.fault.target
        cluster = self._cluster
        for seconds, program in ((event.fault.seconds, cluster.fast_web(name)), (0, cluster.program(name))):
            cluster.disable_restart(name)
            running = cluster.running(name)
            running.send(running.program.stop_signal)
            yield ended(running, running.program.grace_seconds)
            cluster.start(name, program)
            yield after(seconds)

    def _flush(self, _event: Happened) -> Steps:
        """Every key but the journal's: queues, what workers have taken, claims, wakes."""
        with redis().pipeline(transaction=True) as pipe:
            keys: Any = redis().keys("*")
            for key in keys:
                if not key.startswith(JOURNAL.encode()):
                    pipe.delete(key)
            pipe.execute()
        yield from ()

    def _fill(self, event: Happened) -> Steps:
        """Valkey ends by itself at the first write that it cannot keep."""
        if self._disk is None:
            raise RuntimeError("the disk of this run cannot be filled")
        self._cluster.disable_restart("valkey")
        empty = self._disk()
        running = self._cluster.running("valkey")
        yield after(event.fault.seconds)
        yield ended(running, PATIENCE_SECONDS)
        empty()
        yield from self._bring_back("valkey")


def _tree(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return
