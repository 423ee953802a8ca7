"""Every command under options that nobody should give: a sentence that says what to do, and never a traceback."""

import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from app.cli import entry
from app.cli.entry import COMMANDS, cli, main
from app.dev.stack.embedded import free_port
from app.doctor import processes
from config.settings import Settings

EXIT_STATUSES = {0, 1, 2}  # as `neverdrop --help` has them
STARTED_ELSEWHERE = {"up", "demo"}  # these begin a whole pipeline: only what is refused before is tried here
HUGE = "99999999999999999999999999"
NUMBERS = ("-5", HUGE, "", "1.5", "nan", "one")
TEXTS = ("", "a\0b", "'; --", "\udcff", "x" * 100_000)
FILES = ("", "/nowhere/at/all", "/", "/dev/full", "a\0b")
# What a command cannot do without
NEEDED = {
    "trace": ["1"], "dead show": ["1"], "dead edit": ["1"],
    "dead discard": ["1", "--reason", "x"],
    "dead retry": ["1"], "held retry": ["1"], "held skip": ["1", "--reason", "x"], "quarantine drop": ["--all"],
    "outbox send-again": ["1"], "outbox was-sent": ["1"], "outbox drop": ["1"], "outbox resume": ["1"],
    "pause": ["1"], "resume": ["1"], "replay": ["--dry-run"], "purge": ["--older-than", "90"],
    "forget": ["--phone", "15550002222", "--dry-run"], "connect": ["--url", "http://127.0.0.1:1/webhook"],
    "explain": ["--error", "190"], "simulate": ["--messages", "0", "--url", "http://127.0.0.1:1/webhook"],
}  # fmt: skip


@cache
def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": each for inner, each in command.commands.items()}
        elif command is not None:
            found[name] = command
    return found


def hostile(parameter: click.Parameter) -> tuple[str, ...]:
    if isinstance(parameter.type, click.Path | click.File):
        return FILES
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType):
        return NUMBERS
    return TEXTS


def lines() -> Iterator[tuple[str, ...]]:
    """Each command with each of its options, hostile."""
    for name, command in commands().items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.is_flag:
                continue
            for value in hostile(parameter):
                yield (name, parameter.opts[0] if isinstance(parameter, click.Option) else "", value)


def arguments(name: str, option: str, value: str) -> list[str]:
    if not option:  # an argument
        rest = NEEDED.get(name, [])
        return [*name.split(), value, *(rest[1:] if rest and not rest[0].startswith("-") else rest)]
    return [*name.split(), *NEEDED.get(name, []), f"{option}={value}"]


@pytest.fixture
def ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """What ``neverdrop ...`` ends with: its exit status and standard error."""
    monkeypatch.setattr(entry, "configure_command", lambda: None)
    monkeypatch.setattr(processes, "ANSWER_SECONDS", 0.01)  # of workers, of which there are none

    def run(line: list[str]) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["neverdrop", *line])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return run


def test_each_hostile_option_gets_a_sentence(
    settings: Settings, ends: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EDITOR", "true")
    faults = []
    for name, option, value in lines():
        if name in STARTED_ELSEWHERE and hostile_is_accepted(name, option, value):
            continue
        line = arguments(name, option, value)
        try:
            status, said = ends(line)
        except Exception as error:
            faults.append((line[:6], repr(error)[:300]))
            continue
        if (
            status not in EXIT_STATUSES
            or "Traceback" in said
            or (status and len(said.strip()) < len("neverdrop: "))
        ):
            faults.append((line[:6], status, said[-300:]))
    assert faults == []


def hostile_is_accepted(name: str, option: str, value: str) -> bool:
    """Whether the command would take it, and begin its work."""
    if "\0" in value:
        return False
    command = commands()[name]
    try:
        with command.make_context(name, [f"{option}={value}"]):
            return True
    except click.ClickException:
        return False


STORES = [name for name in commands() if name not in {*STARTED_ELSEWHERE, "explain", "simulate"}]


@pytest.mark.parametrize("store", ["REDIS_URL", "DATABASE_URL"])
def test_each_command_says_which_store_is_away(
    env: Callable[..., Settings],
    ends: Callable[..., tuple[int, str]],
    store: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scheme = "redis" if store == "REDIS_URL" else "postgresql"
    env(**{store: f"{scheme}://127.0.0.1:{free_port()}/0"}, REDIS_TIMEOUT_SECONDS="1")
    faults = []
    for name in STORES:
        status, said = ends([*name.split(), *NEEDED.get(name, [])])
        if (
            status not in EXIT_STATUSES
            or "Traceback" in said
            or (status and len(said.strip()) < len("neverdrop: "))
        ):
            faults.append((name, status, said[-300:]))
    assert faults == []
