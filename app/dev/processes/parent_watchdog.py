"""Ends what a parent started, when the parent dies without doing so (SIGKILL, a closed terminal).

It is a process of its own that reads a pipe whose other end only the parent holds: the end of the pipe is
the end of the parent. It reads the record then, so it need not be told of each child.
"""

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from app.dev.processes.children import Records, end, plain_environment


@dataclass(frozen=True, slots=True)
class ParentWatchdog:
    """A process that outlives its parent by as long as it takes to end the parent's children."""

    process: "subprocess.Popen[bytes]"

    def stop(self) -> None:
        """Close its pipe and wait: it ends what is still recorded as running, after a clean stop nothing."""
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()


def watch(records: Records) -> ParentWatchdog:
    """Start a watchdog over everything that is in ``records`` when this process ends."""
    return ParentWatchdog(
        subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "app.dev.processes", str(records.path)],
            stdin=subprocess.PIPE,
            env=plain_environment(),
            start_new_session=True,
        )
    )


def main(records: Records) -> None:
    """Wait until standard input ends, then end what is recorded."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    end(records.alive())
