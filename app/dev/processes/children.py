"""Programs run as children: each in a session of its own, recorded on disk, ended without a trace.

A record outlives a parent that was killed, so that the watchdog, or the next start, ends what is left.
What it cannot see: a child whose parent was killed after the start and before the record, some microseconds.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

KILL_SECONDS = 5  # from SIGKILL until the process must be gone
RECORDS_PREFIX = "processes."
# Of the environment, for what needs no setting
PLAIN_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONPATH")
FLOWERS_LOGIN = "FLOWER_BASIC_AUTH"
CLOCK_SLACK_SECONDS = 2  # the boot time, on which start times are based, moves when the clock is set


@dataclass(frozen=True, slots=True)
class Program:
    """What to run, and how to end it."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(
        default_factory=dict
    )  # besides the parent's own, so far as it may see that
    user: str | None = None  # system user; only root may name one
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 10  # between stop_signal and SIGKILL
    server: bool = False  # others need it: started first, ended last
    foreign: bool = False  # not Neverdrop's: it sees no setting, as servers do not


@dataclass(frozen=True, slots=True)
class Running:
    """A program and its process, which may have ended."""

    program: Program
    process: psutil.Process

    @property
    def alive(self) -> bool:
        """Whether it still runs; a child that has ended is reaped."""
        if isinstance(self.process, psutil.Popen):
            ended: bool = self.process.poll() is not None
            return not ended
        return self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE

    @property
    def output(self) -> IO[bytes] | None:
        """What it writes, if it was started with PIPE."""
        stream: IO[bytes] | None = getattr(self.process, "stdout", None)
        return stream

    def send(self, number: int) -> None:
        """Signal the main process; nothing happens if it is gone."""
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            self.process.send_signal(number)

    def send_all(self, number: int) -> None:
        """Signal the main process and everything it has started."""
        try:
            tree = [self.process, *self.process.children(recursive=True)]
        except psutil.NoSuchProcess:
            tree = []
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)  # also what a dead main process left behind
        for process in tree:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.send_signal(number)


class Records:
    """The file that names what one parent started: one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_this_process(cls, directory: Path) -> "Records":
        """A new file: a dead parent's watchdog must never read what its successor started."""
        return cls(directory / f"{RECORDS_PREFIX}{os.getpid()}")

    @classmethod
    def all_in(cls, directory: Path) -> list["Records"]:
        """Those of every parent that left any behind."""
        return [cls(path) for path in sorted(directory.glob(f"{RECORDS_PREFIX}*"))]

    def add(self, running: Running) -> None:
        line = {
            "name": running.program.name,
            "pid": running.process.pid,
            "created": running.process.create_time(),
            "stop_signal": int(running.program.stop_signal),
            "grace_seconds": running.program.grace_seconds,
            "server": running.program.server,
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def alive(self) -> list[Running]:
        """What is recorded and still runs, in the order of its start."""
        if not self.path.exists():
            return []
        lines = self.path.read_text(encoding="utf-8").splitlines()
        found = (_recorded(line) for line in lines)
        return [running for running in found if running is not None and running.alive]

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def _recorded(line: str) -> Running | None:
    """The process of a record, unless it is gone or its number is another's by now."""
    try:
        record: dict[str, Any] = json.loads(line)
        process = psutil.Process(record["pid"])
        if abs(process.create_time() - record["created"]) > CLOCK_SLACK_SECONDS:
            return None
    except (ValueError, KeyError, psutil.NoSuchProcess):  # ValueError: a line cut short by a full disk
        return None
    program = Program(
        name=record["name"],
        argv=(),
        stop_signal=signal.Signals(record["stop_signal"]),
        grace_seconds=record["grace_seconds"],
        server=record["server"],
    )
    return Running(program, process)


def start(program: Program, records: Records, output: int | IO[bytes] = subprocess.DEVNULL) -> Running:
    """Start a program in a session of its own, so that a terminal's Ctrl-C reaches its parent alone.

    ``output`` takes its standard output and error. OSError if it cannot be started.
    """
    process = psutil.Popen(
        list(program.argv),
        env=_environment(program),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=program.user,
        group=program.user,
        extra_groups=[] if program.user else None,
    )
    running = Running(program, process)
    records.add(running)
    return running


def _environment(program: Program) -> dict[str, str]:
    """Return what a program needs to know: others' programs none of our settings, nobody but Flower its login."""
    if program.server or program.foreign:
        return {**plain_environment(), **program.env}
    given = {name: value for name, value in os.environ.items() if not name.startswith(FLOWERS_LOGIN)}
    return {**given, **program.env}


def plain_environment() -> dict[str, str]:
    """Return the environment without anybody's settings and secrets."""
    return {name: value for name, value in os.environ.items() if name in PLAIN_VARIABLES}


def end(everything: Iterable[Running]) -> None:
    """End all of them: first those that need servers, side by side, then the servers."""
    everything = list(everything)
    _end_together([running for running in everything if not running.program.server])
    _end_together([running for running in everything if running.program.server])


def _end_together(group: list[Running]) -> None:
    """Ask each to stop, wait for its grace, then kill it and whatever it left behind."""
    if not group:
        return
    for running in group:
        running.send(signal.SIGCONT)  # one that was stopped could not hear the next signal
        running.send(running.program.stop_signal)
    psutil.wait_procs(
        [running.process for running in group if running.alive],
        timeout=max(running.program.grace_seconds for running in group),
    )
    for running in group:
        running.send_all(signal.SIGKILL)
    psutil.wait_procs([running.process for running in group], timeout=KILL_SECONDS)
