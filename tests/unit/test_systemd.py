"""The units for systemd run what the Procfile runs, and systemd takes them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from app.dev.stack import programs as pipeline
from tests.unit.test_ship import PROCESSES, SOFT_SHUTDOWN, expected

UNITS = Path(__file__).parents[2] / "docs" / "deploy" / "systemd"
PLACE = "/srv/neverdrop"  # of the project, as the units have it
REMEDY = "systemd-analyze is not installed: apt-get install systemd"


def options(path: Path) -> dict[str, str]:
    """The lines NAME=value of a file; those of a name that comes again joined by a space."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def unit(process: str) -> dict[str, str]:
    return options(UNITS / f"neverdrop-{process}.service")


@pytest.mark.parametrize("process", PROCESSES)
def test_each_unit_runs_what_neverdrop_up_runs_on_this_machine_alone(process: str) -> None:
    found = unit(process)
    command = shlex.split(found["ExecStart"].removeprefix(f"{PLACE}/.venv/bin/").replace("%%", "%"))
    assert command == [word.replace("0.0.0.0", "127.0.0.1") for word in expected(process)]
    variables = dict([found["Environment"].split("=")]) if "Environment" in found else {}
    assert variables == (SOFT_SHUTDOWN if process in ("ingest", "worker", "sender") else {})
    assert found["Restart"] == "always"


def test_the_target_has_every_process_and_each_waits_for_the_tables() -> None:
    wanted = options(UNITS / "neverdrop.target")["Wants"].split()
    assert sorted(wanted) == sorted(f"neverdrop-{process}.service" for process in PROCESSES)
    assert unit("migrate")["ExecStart"] == f"{PLACE}/.venv/bin/neverdrop migrate"
    assert all("neverdrop-migrate.service" in unit(process)["After"] for process in PROCESSES)


def test_a_stop_leaves_more_time_than_a_shutdown_takes() -> None:
    common = options(UNITS / "neverdrop-.service.d" / "common.conf")
    assert int(common["TimeoutStopSec"]) > max(pipeline.WORKER_GRACE_SECONDS, pipeline.WEB_GRACE_SECONDS)
    assert common["KillMode"] == "mixed"


def test_systemd_takes_every_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(REMEDY)
    place = tmp_path / "project"
    place.mkdir()
    (place / ".venv").symlink_to(sys.prefix)
    shutil.copytree(UNITS, tmp_path / "units")
    files = [path for path in (tmp_path / "units").rglob("*") if path.is_file()]
    for path in files:
        path.write_text(path.read_text(encoding="utf-8").replace(PLACE, str(place)), encoding="utf-8")
    named = [path for path in files if path.suffix in (".service", ".target")]
    run = subprocess.run(["systemd-analyze", "verify", *named], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout + run.stderr) == (0, "")
