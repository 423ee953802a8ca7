"""What the command line writes: nothing that steers a terminal, and no file that others can read."""

import io
import os
from pathlib import Path

import pytest
from click import ClickException
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from app.cli.terminal import SafeConsole, private_file

ATTACK = "\x1b]0;title\x07\x1b[2Jname\x9b31m\u202etxt.exe\r\x7f"
BAD = ("\x1b", "\x07", "\x9b", "\u202e", "\r", "\x7f")


def printed(*renderables: object, terminal: bool = False) -> str:
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=terminal, width=120)
    for renderable in renderables:
        console.print(renderable, markup=False, highlight=False)
    return out.getvalue()


def test_no_control_character_of_a_text_is_printed() -> None:
    table = Table(title=ATTACK)
    table.add_column(ATTACK)
    table.add_row(ATTACK)
    text = printed(ATTACK, Text(ATTACK), table, Markdown(ATTACK), {"a": ATTACK})
    assert not any(character in text for character in BAD)
    assert "name" in text


def test_styles_are_still_printed() -> None:
    assert "\x1b[31mdead" in printed(Text("dead", "red"), terminal=True)


def test_lines_and_tabs_stay() -> None:
    assert printed("one\ntwo") == "one\ntwo\n"


def test_an_export_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    path.touch()
    path.chmod(0o644)
    for target in (path, tmp_path / "new.jsonl"):
        with private_file(target) as lines:
            lines.write("one\n")
        assert target.stat().st_mode & 0o777 == 0o600
        assert target.read_text() == "one\n"


def test_an_export_follows_no_link_and_uses_no_file_of_another_user(tmp_path: Path) -> None:
    victim, link = tmp_path / "victim", tmp_path / "link"
    victim.write_text("kept")
    link.symlink_to(victim)
    with pytest.raises(ClickException, match="is a link"):
        private_file(link)
    assert victim.read_text() == "kept"
    if os.geteuid() == 0:
        os.chown(victim, 65_534, 65_534)
        with pytest.raises(ClickException, match="another user"):
            private_file(victim)
        assert victim.read_text() == "kept"
    with private_file(Path("/dev/null")) as lines:
        lines.write("one\n")
