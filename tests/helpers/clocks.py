"""Clocks that a test sets, one for each process: libfaketime's, which leaves the monotonic clock alone."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

PLACES = (Path("/usr/lib"), Path("/usr/local/lib"))
SITE = Path(__file__).parent / "faketime"  # what Python needs under libfaketime
LIBRARY = "faketime/libfaketimeMT.so.1"


class Clocks:
    """The environment of each process by its name, and a file beside it that says how far its clock is off."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._library = _library()

    def environment(self, name: str) -> Mapping[str, str]:
        """What a process is started with, so that its clock can be set while it runs."""
        file = self._path / f"{name}.clock"
        if not file.exists():
            file.write_text("+0\n", encoding="ascii")
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }

    def set(self, **off: str) -> None:
        """Set clocks to be off by so much: ``set(beat="-1h", valkey="+1h")``."""
        for name, offset in off.items():
            written = self._path / f"{name}.clock.new"
            written.write_text(f"{offset}\n", encoding="ascii")
            written.replace(self._path / f"{name}.clock")


def _library() -> Path:
    """Debian's package ``faketime`` has it; without it the test is skipped, and fails in CI."""
    found = [file for place in PLACES for file in (*place.glob(LIBRARY), *place.glob(f"*/{LIBRARY}"))]
    if not found:
        assert os.environ.get("CI") != "true", "libfaketime is missing"
        pytest.skip("needs libfaketime")
    return found[0]
