"""What ``neverdrop explain`` prints."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.explain import command
from tests.helpers import factories as f

RUN = "from app.cli.explain import command; command()"


@pytest.fixture
def body(tmp_path: Path) -> Path:
    return written(tmp_path / "body.json", f.body(f.messages(f.text_message()), f.account_update()))


def written(path: Path, content: Any) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else f.wire(content))
    return path


def run(*arguments: object, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(command, [str(each) for each in arguments], input=stdin)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_json_is_one_object_a_line_for_each_event(body: Path) -> None:
    result = run(body, "--json")
    assert result.exit_code == 0
    message, update = lines(result)
    assert message == {
        "index": 0,
        "kind": "message",
        "type": "text",
        "key": f"message:{f.wamid(1)}",
        "conversation": f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}",
        "occurred_at": "2026-09-21T14:13:20Z",
    }
    assert list(update) == list(message)
    assert (update["conversation"], update["occurred_at"]) == (None, None)


def test_each_object_names_its_file_where_there_are_several(body: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "other.json", f.body(f.statuses(f.status())))
    assert [line["file"] for line in lines(run(body, other, "--json"))] == [str(body)] * 2 + [str(other)]


def test_a_dash_is_standard_input() -> None:
    result = run("-", "--json", stdin=f.wire(f.body(f.statuses(f.status("read")))))
    assert [line["type"] for line in lines(result)] == ["read"]


@pytest.mark.parametrize("content", [b"", b"\x00\xff", b"[]", b"[" * 5000])
def test_a_body_that_cannot_be_read_is_an_event_and_no_failure(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path / "odd.bin", content)
    result = run(path, "--json")
    assert result.exit_code == 0
    assert [line["type"] for line in lines(result)] == ["unreadable"]
    assert "Unreadable: " in run(path).stdout


def test_a_missing_file_is_named_and_the_others_are_explained(body: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.json"
    for bad, why in ((missing, "No such file"), (tmp_path, "Is a directory")):
        result = run(bad, body, "--json")
        assert result.exit_code == 1
        assert f"cannot read {bad}: " in result.stderr
        assert why in result.stderr
        assert len(lines(result)) == 2


def test_no_file_at_all_is_a_usage_error() -> None:
    assert run().exit_code == 2


def test_the_table_shows_what_json_does_and_counts_it(body: Path) -> None:
    result = run(body)
    assert result.exit_code == 0
    for shown in (str(body), "text", f.wamid(1), f.user_id(1), "2026-09-21", "2 events: 1 message, 1 other"):
        assert shown in result.stdout


def test_a_body_cannot_command_the_terminal_or_style_the_table(tmp_path: Path) -> None:
    item = f.message("[red]\x1b[2J\u202e")
    path = written(tmp_path / "odd.json", f.body(f.messages(item)))
    assert r"[red]\x1b[2J\u202e" in run(path).stdout


def test_nothing_but_the_file_is_needed(body: Path) -> None:
    """No settings, no server, and no library that opens one."""
    check = "import sys, app.cli.explain; print(sorted({'sqlalchemy', 'redis', 'celery', 'flask'} & set(sys.modules)))"
    assert _python(check).stdout == "[]\n"
    assert _python(RUN, str(body), "--json", env={}).returncode == 0


def test_letters_that_the_terminal_lacks_do_not_stop_it(tmp_path: Path) -> None:
    path = written(tmp_path / "é.json", f.body(f.messages(f.message("ü", sender=1))))
    result = _python(RUN, str(path), env={"PYTHONIOENCODING": "ascii", "LC_ALL": "C"})
    assert result.returncode == 0
    assert "\\xfc" in result.stdout


@pytest.mark.parametrize("options", [["--json"], []])
def test_a_reader_that_stops_early_sees_no_traceback(tmp_path: Path, options: list[str]) -> None:
    items = [f.text_message(number=n) for n in range(5000)]  # more than a pipe holds
    path = written(tmp_path / "long.json", f.body(f.messages(*items)))
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(path), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def _python(
    code: str, *arguments: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
