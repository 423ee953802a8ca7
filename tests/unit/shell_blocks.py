"""The shell blocks of the docs, and how each is tried.

A block is tried in one of three ways, by what it says:

- ``neverdrop ...`` in each line: by ``tests/integration/cli/test_shell_blocks.py``, in the test's process;
- ``.venv/bin/neverdrop ...``, which is typed beside a running ``make run``: by ``tests/acceptance/test_up.py``;
- what needs more than a test has says so behind its fence (```` ```sh needs Docker ````); its words are looked at.
"""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from itertools import groupby

from tests.unit.pages import ROOT

FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<more>[^\n]*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r" <<'(\w+)'\n.*?^\1$", re.MULTILINE | re.DOTALL)
ASSIGNMENT = re.compile(r"[A-Za-z_]+=")
BETWEEN_COMMANDS = {"&&", "|", ";"}
BESIDE = ".venv/bin/neverdrop"  # as it is typed beside a running `make run`


@dataclass(frozen=True)
class ShellBlock:
    """One block: where it stands, and why it is not run, if it is not."""

    page: str
    line: int
    needs: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[list[str]]:
        """The words of each command, without what is assigned before it."""
        return [words for line in self.lines for words in line]

    @property
    def lines(self) -> list[list[list[str]]]:
        """The commands of each line, which ``|`` or ``&&`` join."""
        text = HERE_DOCUMENT.sub("", self.text).replace("\\\n", " ")
        return [commands for line in text.splitlines() if (commands := _commands(line))]

    @property
    def beside_a_pipeline(self) -> bool:
        return not self.needs and any(words[0] in (BESIDE, "make", "curl") for words in self.commands)


def _commands(line: str) -> list[list[str]]:
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    parts = [list(part) for between, part in groupby(words, BETWEEN_COMMANDS.__contains__) if not between]
    return [command for part in parts if (command := _without_assignments(part))]


def _without_assignments(words: list[str]) -> list[str]:
    while words and (words[0] == "export" or ASSIGNMENT.match(words[0])):
        words = words[1:]
    return words


@cache
def shell_blocks() -> tuple[ShellBlock, ...]:
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("README.md")]
    return tuple(
        ShellBlock(
            str(path.relative_to(ROOT)),
            text.count("\n", 0, fence.start()) + 1,
            fence["more"].removeprefix("needs "),
            fence["text"],
        )
        for path in sorted(paths)
        for text in [path.read_text(encoding="utf-8")]
        for fence in FENCE.finditer(text)
        if fence["language"] in ("sh", "console", "bash", "shell")
    )


def of_the_command_line() -> list[ShellBlock]:
    return [each for each in shell_blocks() if not each.needs and not each.beside_a_pipeline]


def beside_a_pipeline(page: str) -> list[ShellBlock]:
    return [each for each in shell_blocks() if each.page == page and each.beside_a_pipeline]


def that_need_more() -> list[ShellBlock]:
    return [each for each in shell_blocks() if each.needs]
