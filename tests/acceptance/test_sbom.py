"""`make sbom` writes what production installs: every package of the lock, in its version, with its hashes."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKED = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==([^\s;\\]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
SECONDS = 300  # its packages may have to be installed first

pytestmark = pytest.mark.skipif(
    not (ROOT / ".venv" / "created").exists(), reason="make has not set up .venv, and would make it anew"
)


def canonical(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def locked() -> dict[tuple[str, str], set[str]]:
    """(package, version) of requirements.lock → its hashes."""
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    packages = [(LOCKED.match(entry), entry) for entry in entries]
    return {(canonical(found[1]), found[2]): set(HASH.findall(entry)) for found, entry in packages if found}


def test_the_sbom_lists_every_locked_package_with_its_version_and_hashes(tmp_path: Path) -> None:
    written = tmp_path / "sbom.json"
    without_make = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "sbom", f"SBOM={written}"],
        cwd=ROOT,
        env=without_make,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    sbom = json.loads(written.read_text(encoding="utf-8"))
    assert sbom["bomFormat"] == "CycloneDX"
    assert sbom["metadata"]["component"]["name"] == "neverdrop"
    assert sbom["metadata"]["component"]["type"] == "application"
    listed = {(canonical(each["name"]), each["version"]): _hashes(each) for each in sbom["components"]}
    assert len(locked()) > 20
    assert listed == locked()


def _hashes(component: dict[str, list[dict[str, list[dict[str, str]]]]]) -> set[str]:
    return {
        each["content"]
        for reference in component["externalReferences"]
        for each in reference.get("hashes", ())
    }
