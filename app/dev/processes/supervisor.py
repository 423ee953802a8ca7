"""Run programs side by side, with one log, and start again what ends by itself.

A library for Procfiles ends everything when one process ends; here the others must go on, since that is what
the pipeline promises.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import click

from app.dev.processes.children import Program, Records, Running, end, start
from app.errors import NeverdropError

FIRST_BACKOFF_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 30.0
STEADY_SECONDS = 30.0  # a program that ran this long failed for a new reason: the backoff begins again
OWN_NAME = "up"
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "bright_cyan", "bright_yellow", "bright_green")


class Stopped(NeverdropError):
    """Somebody asked for the end while the start was still under way."""


class Printer:
    """One line at a time, each behind its program's name; colours only where ``colour`` says so."""

    def __init__(self, stream: IO[str], *, colour: bool = False) -> None:
        self._stream = stream
        self._colour = colour
        self._lock = threading.Lock()
        self._colours: dict[str, str] = {}
        self.width = 8
        self.closed = threading.Event()  # nobody reads any more: the terminal or the pipe is gone
        self.listeners: list[
            Callable[[str, str], object]
        ] = []  # called with each line, by its program's name

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self.width}} | "
        with self._lock:
            if self._colour:
                colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
                prefix = click.style(prefix, fg="bright_white" if name == OWN_NAME else colour)
            try:
                self._stream.write(f"{prefix}{text}\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.closed.set()
        for listen in self.listeners:
            listen(name, text)


@dataclass
class _Child:
    program: Program
    running: Running
    started: float
    backoff: float = FIRST_BACKOFF_SECONDS
    due: float | None = None  # monotonic time of its next start, once it has ended
    restarts: bool = True  # False: leave it ended
    output_thread: threading.Thread | None = field(default=None, repr=False)


class Supervisor:
    """Children by name. Not thread-safe, but for the printer."""

    def __init__(
        self, records: Records, printer: Printer, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.records = records
        self.printer = printer
        self.stopping = threading.Event()  # set by whoever wants the end; from then on nothing is started
        self._clock = clock
        self._children: dict[str, _Child] = {}

    def __getitem__(self, name: str) -> Running:
        """The process that runs under this name now; KeyError if none ever did."""
        return self._children[name].running

    def __contains__(self, name: str) -> bool:
        return name in self._children

    def names(self) -> list[str]:
        return list(self._children)

    def start(self, program: Program) -> Running:
        """Start a program, or start it again under the same name; Stopped once ``stopping`` is set."""
        self.check()
        running, output_thread = self._spawn(program)
        self._children[program.name] = _Child(program, running, self._clock(), output_thread=output_thread)
        return running

    def check(self) -> None:
        """Stopped if somebody asked for the end."""
        if self.stopping.is_set():
            raise Stopped("stopped")

    def stop(self, name: str) -> None:
        """End a program as a deploy would, and leave it ended until ``restart``."""
        child = self._children[name]
        child.restarts = False
        end([child.running])

    def restart(self, name: str) -> Running:
        """End it if it runs, and start it again."""
        self.stop(name)
        return self.start(self._children[name].program)

    def disable_restart(self, name: str) -> None:
        """Leave a program ended when it ends next."""
        self._children[name].restarts = False

    def enable_restart(self, name: str) -> None:
        """Start a program again when it ends next."""
        self._children[name].restarts = True

    def retire(self, name: str) -> None:
        """Ask a program to end as a deploy would, without waiting for it; ``end`` ends it in any case."""
        child = self._children[name]
        child.restarts = False
        child.running.send(signal.SIGCONT)
        child.running.send(child.program.stop_signal)

    def restart_ended(self) -> None:
        """Start again what has ended and whose backoff is over; call it a few times a second."""
        for child in self._children.values():
            if child.restarts and not child.running.alive:
                self._restart(child)

    def _restart(self, child: _Child) -> None:
        now = self._clock()
        if child.due is None:
            if now - child.started >= STEADY_SECONDS:
                child.backoff = FIRST_BACKOFF_SECONDS
            child.due = now + child.backoff
            self.say(f"{child.program.name} ended with {_cause(child.running)}: again in {child.backoff:g} s")
            child.backoff = min(child.backoff * 2, MAX_BACKOFF_SECONDS)
            child.running.send_all(signal.SIGKILL)  # its own children would be in the way
        elif now >= child.due:
            child.running, child.output_thread = self._spawn(child.program)
            child.started, child.due = now, None

    def end(self) -> None:
        """End everything, the servers last; nothing is started again."""
        for child in self._children.values():
            child.restarts = False
        end(child.running for child in self._children.values())
        for child in self._children.values():
            if child.output_thread:
                child.output_thread.join(timeout=1)

    def kill(self) -> None:
        """End at once whatever is no server; servers need a moment to keep their data tidy."""
        for child in self._children.values():
            child.restarts = False
            if not child.program.server:
                child.running.send_all(signal.SIGKILL)

    def say(self, text: str) -> None:
        self.printer.line(OWN_NAME, text)

    def _spawn(self, program: Program) -> tuple[Running, threading.Thread]:
        running = start(program, self.records, subprocess.PIPE)
        output_thread = threading.Thread(target=_copy, args=(running, self.printer), daemon=True)
        output_thread.start()
        return running, output_thread


def _copy(running: Running, printer: Printer) -> None:
    """Every line a child writes, until it and its own children have closed the pipe."""
    output = running.output
    if output is None:
        return
    with output:
        for line in output:
            printer.line(running.program.name, line.decode(errors="replace").rstrip())


def _cause(running: Running) -> str:
    status: Any = running.process.wait(timeout=0)
    return f"signal {-status}" if isinstance(status, int) and status < 0 else f"status {int(status)}"


def printer_for_terminal() -> Printer:
    """Standard output, with colours if it is a terminal and NO_COLOR is not set."""
    return Printer(sys.stdout, colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))
