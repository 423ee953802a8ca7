"""Each line of CONTRIBUTING.md leads to what is there, and the order of reading leaves no page out."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
INDEX = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
MAX_LINES = 80  # one page
PATH = re.compile(
    r"(?:(?:app|bench|config|docs|tasks|tests)(?:/[\w.]+)*|\.ci/run|[A-Z]+\.md|docker-compose\.yml)"
)
NEW = (
    "setting", "command", "column", "alert", "Flower page", "webhook field", "log event", "key in Redis",
    "queue or task", "package", "word", "shell block",
)  # fmt: skip


def spans() -> list[str]:
    return re.findall(r"`([^`\n]+)`", TEXT)


def places() -> list[tuple[str, str]]:
    """Return (file, name or heading in it) of each ```file`: `name``` and ```file`: Heading``."""
    named = re.findall(r"`([\w/.-]+)`: ((?:`\w[\w-]*`(?:, )?)+|[A-Z]\w+(?: \w+)*)", TEXT)
    return [(path, name) for path, names in named for name in re.findall(r"[\w-]+(?: \w+)*", names)]


def new_things() -> list[list[str]]:
    table = TEXT.partition("## Where a new thing goes")[2].partition("\n## ")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]


def test_it_is_one_page() -> None:
    assert len(TEXT.splitlines()) <= MAX_LINES


def test_every_new_thing_has_files_to_touch_and_a_test_to_add() -> None:
    assert [row[0] for row in new_things()] == list(NEW)
    for new, touch, test in new_things():
        assert any(PATH.fullmatch(span) for span in re.findall(r"`([^`]+)`", touch)), new
        assert "tests/" in test, new


@pytest.mark.parametrize("path", sorted({span for span in spans() if PATH.fullmatch(span)}))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize(("path", "name"), places())
def test_every_name_stands_in_its_file(path: str, name: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    heading = rf"^## {re.escape(name)}$"
    defined = rf"^(?:class |x-)?{re.escape(name)}\b|\b{re.escape(name)}:"
    assert re.search(heading if path.endswith(".md") else defined, text, re.MULTILINE)


def test_the_order_of_reading_has_every_page_once() -> None:
    links = re.findall(r"^\d+\. \[[^]]+\]\(([^)]+)\)", INDEX, re.MULTILINE)
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert sorted(links) == sorted(["../README.md", *pages])
