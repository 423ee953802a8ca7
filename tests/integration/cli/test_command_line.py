"""What holds for every command: who is asked, what is printed where, and how it ends."""

import json
import os
import re
import subprocess
import sys

import pytest

from app.cli import terminal
from tests.helpers.core import Core
from tests.integration.cli.support import dead, run

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)

NEVERDROP = (sys.executable, "-c", "from app.cli import main; main()")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run([*NEVERDROP, *arguments], capture_output=True, text=True, env=env, check=False)


@pytest.mark.parametrize("short", [("-h",), ("dead", "-h"), ("dead", "list", "-h"), ("status", "-h")])
def test_h_is_help(short: tuple[str, ...]) -> None:
    assert run(*short).output == run(*short[:-1], "--help").output


def test_the_help_has_the_exit_statuses_and_completion() -> None:
    text = " ".join(run("--help").output.split())
    assert "Exit status: 0 it is done; 1 it is not, or not all of it" in text
    assert "_NEVERDROP_COMPLETE=bash_source" in text


def test_a_shell_can_complete_commands() -> None:
    done = process(_NEVERDROP_COMPLETE="bash_complete", COMP_WORDS="neverdrop dead re", COMP_CWORD="2")
    assert done.stdout.strip() == "plain,retry"


def test_a_person_is_asked_before_all_are_changed(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    dead(core, "a", "b")
    asked = []

    def confirm(question: str, *, yes: bool) -> None:
        if not yes:
            asked.append(question)
            raise SystemExit(1)

    monkeypatch.setattr("app.cli.decide.confirm", confirm)
    assert run("dead", "retry", "--all").exit_code == 1
    assert asked == ["2 will be retried. Go on?"]
    assert core.states() == {"dead": 2}
    assert run("dead", "retry", "--all", "--yes").exit_code == 0
    assert core.states() == {"pending": 2}


def test_only_a_terminal_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal.confirm("Go on?", yes=False)  # pytest's standard input is none

    class Screen:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(terminal.sys, "stdin", Screen())
    monkeypatch.setattr(terminal.sys, "stderr", Screen())
    monkeypatch.setattr(terminal.click, "confirm", lambda *_, **__: (_ for _ in ()).throw(KeyError("asked")))
    terminal.confirm("Go on?", yes=True)
    with pytest.raises(KeyError):
        terminal.confirm("Go on?", yes=False)


def test_no_log_line_is_between_what_a_command_prints(core: Core) -> None:
    (id_,) = dead(core, "a")
    done = process("dead", "discard", str(id_), "--reason", "a test", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["discarded"] == [id_]


def test_every_time_is_iso(core: Core) -> None:
    (id_,) = dead(core, "a")
    for command in (("dead", "list"), ("dead", "show", id_), ("trace", id_)):
        text = run(*command).output
        assert ISO.search(text), command
        assert not re.search(r"\d{4}-\d\d-\d\d \d\d:", text), command
    (letter,) = (json.loads(line) for line in run("dead", "list", "--json").stdout.splitlines())
    assert ISO.fullmatch(letter["died_at"])


def test_status_needs_the_stores_alone(core: Core) -> None:
    secrets = {"WHATSAPP_APP_SECRET": "", "WHATSAPP_VERIFY_TOKEN": "", "NEVERDROP_ENV": "production"}
    done = process("status", "--json", **secrets)
    assert done.returncode == 0, done.stderr
    assert "unfinished" in json.loads(done.stdout)


def test_celery_says_wrong_settings_without_a_traceback(core: Core) -> None:
    line = [sys.executable, "-m", "celery", "-A", "tasks", "worker"]
    env = {**os.environ, "PORT": "web", "HANDLRES": "mybot"}
    done = subprocess.run(line, capture_output=True, text=True, env=env, check=False)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "PORT: " in done.stderr
    assert "HANDLRES: is no setting; HANDLERS is." in done.stderr


def test_migrate_names_the_schema_of_a_newer_release(core: Core) -> None:
    with core.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    done = process("migrate")
    assert done.returncode == 1
    assert "schema of a newer release (9999)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_under_an_export_is_a_sentence(core: Core) -> None:
    dead(core, "a")
    done = process("dead", "export", "--output", "/dev/full")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "the output cannot be written" in done.stderr
