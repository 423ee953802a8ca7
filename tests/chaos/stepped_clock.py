"""A wall clock for single processes that can be set while they run: a shared library between them and the kernel's.

Only on Linux, and with a C compiler; a run without these leaves the faults of clocks out and says so.
"""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
FILE = "NEVERDROP_CHAOS_CLOCK"  # names the file with the nanoseconds that a process's clock is ahead
NANOSECONDS = 1_000_000_000


def unavailable() -> str | None:
    """Return why no clock can be set here; None if it can."""
    if sys.platform != "linux":
        return "a clock of one process can only be set on Linux"
    return None if shutil.which("cc") else "there is no C compiler"


class SteppedClock:
    """The clock of the processes that are started with ``environment``."""

    def __init__(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        self._file = path / "clock"
        self._library = path / "clock.so"
        self.set(0)

    @property
    def environment(self) -> dict[str, str]:
        """Compiles the library at the first use."""
        if not self._library.exists():
            command = [
                "cc",
                "-O2",
                "-Wall",
                "-Werror",
                "-shared",
                "-fPIC",
                "-o",
                str(self._library),
                str(SOURCE),
            ]
            subprocess.run(command, check=True)
        return {"LD_PRELOAD": str(self._library), FILE: str(self._file)}

    def set(self, seconds_ahead: float) -> None:
        """Step it: every process sees it at once."""
        ahead = struct.pack("=q", round(seconds_ahead * NANOSECONDS))
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(ahead)
