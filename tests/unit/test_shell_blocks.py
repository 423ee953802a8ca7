"""Each shell block of the docs is run by a test, or says what it needs and would be understood."""

import re
import subprocess
from collections.abc import Callable
from importlib import import_module

import click
import pytest
import yaml

from app.cli.entry import cli
from config.settings import Settings
from tests.unit.pages import ROOT
from tests.unit.shell_blocks import (
    BESIDE,
    ShellBlock,
    beside_a_pipeline,
    of_the_command_line,
    shell_blocks,
    that_need_more,
)
from tests.unit.test_docs import commands
from tests.unit.test_ship import procfile

RUN_BESIDE_A_PIPELINE = {
    "README.md",
    "docs/quickstart.md",
    "docs/operations.md",
}  # by tests/acceptance/test_up.py
NEEDS = {
    "a network",
    "minutes",
    "a quarter of an hour",
    "hours",
    "Docker",
    "Heroku",
    "a second server",
    "Meta",
    "root",
    "processes of its own",
}
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
MAKE_VARIABLES = {
    "BENCH": "bench",
    "CHAOS": "tests.chaos",
    "ATTACK": "tests.hostile",
}  # the options of which module
OF_THE_SYSTEM = {
    *("cd", "install", "journalctl", "openssl", "printf", "useradd"),
    *("createdb", "pg_dump", "pg_restore", "redis-cli"),
}


def understood(command: click.Command, words: list[str]) -> None:
    """Raise click's error where the command would refuse these words."""
    parent = click.Context(cli, **cli.context_settings)  # a command keeps the help options of its first one
    with command.make_context(command.name, list(words), parent):
        pass


def neverdrop(words: list[str]) -> None:
    name = next(name for name in (" ".join(words[:2]), words[0]) if name in commands())
    understood(commands()[name], words[len(name.split()) :])


def module(name: str, words: list[str]) -> None:
    understood(import_module(f"{name}.__main__").main, words)


def make(words: list[str]) -> None:
    if words[0] == "-C":  # of a file that make makes
        assert re.search(rf"^\$\(VENV\){words[2].removeprefix('.venv')}:", MAKEFILE, re.MULTILINE)
        return
    target, *variables = words
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    for variable in variables:
        name, _, options = variable.partition("=")
        module(MAKE_VARIABLES[name], options.split())


def python(words: list[str]) -> None:
    assert words[0] == "-m"
    if words[1] == "pytest":
        assert (ROOT / words[2]).exists()
    else:
        module(words[1], words[2:])


def docker(words: list[str]) -> None:
    if words[:2] == ["compose", "exec"]:
        assert words[2] in SERVICES
        assert words[3] == "neverdrop"
        neverdrop(words[4:])
    elif words[0] == "compose":
        assert {each.partition("=")[0] for each in words if re.fullmatch(r"\w+=\d+", each)} <= set(SERVICES)
    else:
        assert words[:2] == ["image", "inspect"]
        assert words[-1] in SERVICES["valkey"]["image"]


def heroku(words: list[str]) -> None:
    if words[0] == "ps:scale":
        assert {each.partition("=")[0] for each in words[1:]} <= set(procfile())
    elif words[0] == "config:set":
        names = {each.partition("=")[0] for each in words[1:]}
        assert names <= {name.upper() for name in Settings.model_fields}
    elif words[0] == "run":
        assert words[1] == "neverdrop"
        neverdrop(words[2:])
    else:
        assert words[0] in ("create", "addons:create")


def cp(words: list[str]) -> None:
    assert (ROOT / words[1].removeprefix("/srv/neverdrop/")).is_dir()


def systemctl(words: list[str]) -> None:
    units = {path.name for path in (ROOT / "docs" / "deploy" / "systemd").iterdir()}
    assert {word for word in words if "neverdrop" in word} <= units


def pip(words: list[str]) -> None:
    assert words[0] == "install"
    assert (ROOT / words[-1]).exists()


def git(words: list[str]) -> None:
    assert words[0] in ("clone", "push")


PROGRAMS: dict[str, Callable[[list[str]], None]] = {
    "neverdrop": neverdrop, BESIDE: neverdrop, "make": make, "python": python, ".venv/bin/python": python,
    "docker": docker, "pip": pip, "git": git, "heroku": heroku, "cp": cp, "systemctl": systemctl,
}  # fmt: skip


def test_each_block_has_a_test_that_runs_it_or_says_what_it_needs() -> None:
    ways = [
        *of_the_command_line(),
        *that_need_more(),
        *(each for page in RUN_BESIDE_A_PIPELINE for each in beside_a_pipeline(page)),
    ]
    assert sorted(map(str, ways)) == sorted(map(str, shell_blocks()))
    assert [str(block) for block in that_need_more() if block.needs.partition(":")[0] not in NEEDS] == []
    elsewhere = [block.needs.partition(": ")[2] for block in that_need_more() if ":" in block.needs]
    assert all((ROOT / path).exists() for path in elsewhere)


@pytest.mark.parametrize("block", shell_blocks(), ids=str)
def test_each_block_is_written_as_a_shell_reads_it(block: ShellBlock) -> None:
    run = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize("block", that_need_more(), ids=str)
def test_what_is_not_run_would_be_understood(block: ShellBlock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, *_: value)  # files that a run leaves
    for program, *words in block.commands:
        if program not in OF_THE_SYSTEM:
            PROGRAMS[program](words)
