"""The fault test in its short form: real processes under load, faults of each sort, every promise judged.

Leases and grace are a few seconds, so that recovery is soon; ``make chaos`` keeps the defaults and runs longer.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SECONDS = 34
EVERY_SECONDS = 2.5
RATE = 25
SEED = 26  # draws nearly each of these kinds once
# Named, so that another kind does not change what is drawn here
KINDS = (
    "kill_web", "kill_ingest", "kill_beat", "kill_valkey", "kill_postgres", "flush_queues",
    "kill_worker", "kill_worker_main", "kill_worker_child", "stop_worker",
    "terminate_sessions", "read_only", "statement_timeout", "exhaust_connections", "fill_redis", "replay",
    "target_away",
)  # fmt: skip
MAX_SECONDS = 540


@pytest.mark.timeout(MAX_SECONDS + 20)
def test_nothing_is_lost_nothing_runs_twice_and_all_is_in_order_under_faults(tmp_path: Path) -> None:
    figures = chaos(
        tmp_path,
        "--seed",
        str(SEED),
        "--seconds",
        str(SECONDS),
        "--every",
        str(EVERY_SECONDS),
        "--rate",
        str(RATE),
        "--faults",
        ",".join(KINDS),
    )
    assert figures["kept"]
    assert len(figures["schedule"]) >= 10
    assert figures["interrupted_attempts"] > 0
    assert all(each["checked"] for each in figures["promises"])


def chaos(path: Path, *options: str) -> dict[str, Any]:
    """One run's figures; it must have ended well."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    command = [sys.executable, "-m", "tests.chaos", "--short", "--json", str(path / "figures"), *options]
    ran = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=MAX_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    figures: dict[str, Any] = json.loads((path / "figures").read_text(encoding="utf-8"))
    return figures
