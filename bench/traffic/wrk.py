"""The same load from wrk, where it is installed: bodies that were signed ahead, read by a Lua script."""

import json
import shutil
import subprocess
import tempfile
from itertools import islice
from pathlib import Path

from bench.measure import Figures
from bench.traffic.bodies import Traffic, body, numbers, signature

SCRIPT = Path(__file__).with_suffix(".lua")
THREADS = 1
MAX_PER_SECOND = 15_000  # that are signed ahead; beyond them the first are sent again
MAX_BODIES = 150_000


class WrkMissingError(Exception):
    """wrk is not on the PATH."""


def run(port: int, traffic: Traffic, connections: int, seconds: float) -> Figures:
    """Closed loop; WrkMissingError without wrk."""
    binary = shutil.which("wrk")
    if binary is None:
        raise WrkMissingError("wrk is not installed: leave --wrk out, or install it")
    with tempfile.NamedTemporaryFile("wb", suffix=".bodies") as file:
        for number in islice(numbers(traffic, 0, 1), min(int(MAX_PER_SECOND * seconds), MAX_BODIES)):
            content = body(traffic, number)
            file.write(b"%s %s\n" % (signature(content).encode(), content))
        file.flush()
        command = [
            binary, "--threads", str(THREADS), "--connections", str(connections), "--duration", f"{seconds:g}s",
            "--script", str(SCRIPT), f"http://127.0.0.1:{port}/webhook", "--", file.name,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  (our own line)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "req/s": found["requests"] / (found["duration_us"] / 1e6),
        "p50 ms": found["p50_us"] / 1e3,
        "p99 ms": found["p99_us"] / 1e3,
        "refused": found["errors"],
    }
