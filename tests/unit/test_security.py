"""What SECURITY.md says is stopped, a test shows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
THREATS = [
    line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| who | what they")
]
FILES = {path: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("threat", THREATS, ids=lambda line: line.split("|")[2].strip()[:40])
def test_every_threat_names_tests_that_are_there(threat: str) -> None:
    named = re.findall(r"`(?:tests/hostile/)?(test_\w+)(\.py)?`", threat.split("|")[4])
    assert named
    for name, suffix in named:
        if suffix:
            assert any(path.stem == name for path in FILES)
        else:
            assert any(f"def {name}(" in text for text in FILES.values()), name
