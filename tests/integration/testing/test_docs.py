"""The snippets of docs/testing.md and docs/developing.md run as they stand, as a team would run them."""

from pathlib import Path

from tests.helpers.team_tests import run_team_tests
from tests.unit.pages import PAGES, blocks


def test_the_snippets_of_the_page_are_a_bot_and_its_tests(tmp_path: Path) -> None:
    bot, first, *others = blocks(PAGES["testing"], "python")
    assert len(first.partition("\n")[2].strip().splitlines()) <= 10
    output = run_team_tests(tmp_path, bot, first, *others)
    assert f"{1 + len(others)} passed" in output, output


def test_the_page_of_developing_is_bots_with_migrations_beside_fastapi_and_django(tmp_path: Path) -> None:
    page = PAGES["developing"]
    files = [
        block for kind in ("sh", "ini", "python") for block in blocks(page, kind) if block.startswith("# ")
    ]
    assert len(files) == 12
    output = run_team_tests(tmp_path, *files)
    assert "2 passed" in output, output
