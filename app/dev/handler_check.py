"""Whether HANDLERS can be imported, found out in a process of its own: ``python -m app.dev.handler_check``.

The process imports everything but the team's modules at once, and those when it is asked, so that an answer takes no
longer than their own imports. It ends with its parent, whose pipe it reads.
"""

import contextlib
import json
import os
import subprocess
import sys

__all__ = ["HandlerCheck"]

ASK_SECONDS = 60  # that the team's imports may take


class HandlerCheck:
    """One check, to be asked once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "app.dev.handler_check"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def fault(self) -> str | None:
        """Import the modules as they are now, with this process's environment; return what is wrong, if anything."""
        try:
            answer, _ = self._process.communicate(json.dumps(dict(os.environ)) + "\n", ASK_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            return f"HANDLERS: their import took longer than {ASK_SECONDS} s"
        if self._process.returncode and not answer:
            return f"HANDLERS: their import ended its process with status {self._process.returncode}"
        return answer.strip() or None

    def stop(self) -> None:
        """End the process; nothing happens if it has answered."""
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Wait for the environment on standard input, import the modules, and print what is wrong."""
    from app.errors import NeverdropError
    from app.handlers import load_handlers
    from config.settings import settings

    given = sys.stdin.readline()
    if not given:  # the parent has ended, or does not want to know any more
        return
    os.environ.update(json.loads(given))
    try:
        with contextlib.redirect_stdout(sys.stderr):  # the team's modules may print
            load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)
    except NeverdropError as error:
        sys.stdout.write(str(error))


if __name__ == "__main__":
    main()
