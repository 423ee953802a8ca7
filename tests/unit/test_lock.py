"""What requirements.lock installs is enough: no process imports what only the tests bring along."""

import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNNING = (
    "tasks.ingest, tasks.lanes, tasks.maintenance, app.web, app.cli.status, app.cli.dead, app.dev.stack.up, "
    "celery.bin.celery, celery.apps.worker, celery.apps.beat, celery.concurrency.prefork, kombu.transport.redis, "
    "flower.command, app.web.http_guard, uvicorn.main, uvloop, sqlalchemy.dialects.postgresql.psycopg2"
)


WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent}:
            raise ModuleNotFoundError(name + " is not in requirements.lock", name=name)
sys.meta_path.insert(0, Absent())
import {modules}
"""


def test_what_the_lock_installs_is_enough_to_run_every_process() -> None:
    """A package that only the tests bring along would be missing in production."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    locked = {canonical(name) for name in re.findall(r"^([\w.-]+)==", lock, re.MULTILINE)} | {"neverdrop"}
    absent = {
        module
        for module, owners in packages_distributions().items()
        if not {canonical(owner) for owner in owners} & locked
    }
    script = WITHOUT.format(absent=absent, modules=RUNNING)
    known = {**os.environ, "NEVERDROP_ENV": "development"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


@pytest.mark.parametrize("lock", sorted(ROOT.glob("requirements*.lock")), ids=lambda lock: lock.stem)
def test_every_package_of_a_lock_is_one_version_with_its_hashes(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", lock.read_text(encoding="utf-8"))
    packages = [entry for entry in entries if entry.strip() and not entry.startswith("#")]
    assert packages
    for package in packages:
        assert re.match(r"[\w.\[\],-]+==\S+", package), package
        assert "--hash=sha256:" in package, package
    assert not re.search(r"(file|https?)://", lock.read_text(encoding="utf-8"))
