"""Why a team's module cannot be imported is said in one line, with the file and line of the team's own code."""

from pathlib import Path

import pytest

from app.handlers.options import HandlerError
from app.handlers.registration import load_handlers


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        ("x = 1\ny = (", 2, "SyntaxError: '(' was never closed"),
        ("import no_such_package", 1, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("import json\n\njson.loads('{')", 3, "JSONDecodeError"),
        (
            "from app.handlers import on_message\n\n\n@on_message('text')\ndef answer(event):\n    ...",
            4,
            "HandlerError",
        ),
    ],
)
def test_the_line_is_the_teams_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, line: int, words: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    bot = tmp_path / f"failing_bot_{line}_{len(code)}.py"
    bot.write_text(code, encoding="utf-8")
    with pytest.raises(HandlerError) as failed:
        load_handlers([bot.stem], 60)
    assert str(failed.value).startswith(f"HANDLERS: cannot import {bot.stem}: {bot}:{line}: ")
    assert words in str(failed.value)
    assert "\n" not in str(failed.value)
