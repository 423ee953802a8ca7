"""What to do about each alert."""

from pathlib import Path

import pytest

from app.watch import REMEDIES, AlertName

OPERATIONS = Path("docs/operations.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", AlertName)
def test_each_alert_has_a_remedy_and_a_line_in_the_docs(name: AlertName) -> None:
    assert REMEDIES[name].text.endswith(".")
    assert f"| `{name}` |" in OPERATIONS
