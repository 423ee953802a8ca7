"""Run what a page of the docs shows as a team would: files in a directory of its own, and pytest there."""

import os
import subprocess
import sys
from pathlib import Path

RUN_SECONDS = 110
OURS = ("HANDLERS", "REDIS_URL", "DATABASE_URL", "PYTEST_ADDOPTS")  # of the environment


def run_team_tests(directory: Path, *files: str) -> str:
    """Write files, each with its name in a comment as the first line, run pytest, and return what it prints."""
    for file in files:
        first, _, code = file.partition("\n")
        path = directory / first.removeprefix("# ").split(",")[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "."],
        cwd=directory,
        env={name: value for name, value in os.environ.items() if name not in OURS},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return run.stdout + run.stderr
