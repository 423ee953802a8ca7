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
from pathlib import Path

from app.dev.stack.processes import Records, end


@dataclass(frozen=True, slots=True)
class Warden:
    process: "subprocess.Popen[bytes]"

    def dismiss(self) -> None:
        """Let it go: it ends what is still recorded as running, which after a clean stop is nothing."""
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
        self.process.wait()


def watch(records: Records) -> Warden:
    """Start a warden over everything that is in ``records`` when this process ends."""
    return Warden(
        subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "app.dev.stack.parent_watchdog", str(records.path)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
    )


def main(records: Records) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    end(records.alive())


if __name__ == "__main__":
    main(Records(Path(sys.argv[1])))
