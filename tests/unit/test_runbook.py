"""The runbook in the docs and the doctor's checks are the same list."""

import re

from app.doctor import CHECKS
from app.watch import AlertName
from tests.unit.pages import PAGES, ROOT, rows

OPERATIONS = PAGES["operations"]
SYMPTOMS, _, RUNBOOK = OPERATIONS.partition("## Runbook")[2].partition("\n## ")[0].partition("### By finding")


def entries() -> list[list[str]]:
    return [cells for cells in rows(RUNBOOK) if cells[0].startswith("`")]


def test_each_entry_of_the_runbook_has_a_check_and_each_check_an_entry() -> None:
    named = [name for cells in entries() for name in re.findall(r"`(\w+)`", cells[0])]
    assert sorted(named) == sorted(CHECKS - set(AlertName))
    assert set(AlertName) <= CHECKS  # these have the table of alerts


def test_each_entry_says_what_is_seen_where_to_look_and_what_to_do() -> None:
    assert [cells[0] for cells in entries() if len(cells) != 4 or not all(cells)] == []


def test_each_symptom_has_a_command_that_shows_it_and_what_to_do() -> None:
    symptoms = rows(SYMPTOMS)[1:]
    assert [row[0] for row in symptoms if len(row) != 3 or "`neverdrop " not in row[1] or not row[2]] == []
    named = {name for row in symptoms for name in re.findall(r"`([a-z]+(?:_[a-z]+)*)`", row[1])}
    assert named <= CHECKS


def test_each_finding_that_the_code_makes_is_a_check() -> None:
    made = set()
    for path in (ROOT / "app" / "doctor").glob("*.py"):
        made |= set(re.findall(r'Finding\(\s*"(\w+)"', path.read_text(encoding="utf-8")))
    assert made <= CHECKS
    assert {each for each in CHECKS if each.startswith("meta_")} <= made
