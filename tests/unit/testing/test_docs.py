"""The plugin in a team's own test run: what docs/handlers.md shows, several bots, and none."""

import subprocess
import sys
from pathlib import Path

from tests.helpers.team_tests import run_team_tests
from tests.unit.pages import PAGES, blocks

LOADED = "import sys, app.testing.plugin; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
HEAVY = {"sqlalchemy", "celery", "httpx", "pydantic", "tornado", "psycopg2", "redis", "structlog"}
BOT = """# {name}.py
from app.handlers import on_message


@on_message("text")
def answer(event, ctx):
    ctx.reply("{name}")
"""
TEST = """# test_{name}.py
import {name}


def test_it(bot):
    bot.user("15550002222").sends("hi")
    bot.replied("{name}")
"""
TEST_WITHOUT_A_BOT = "# test_none.py\ndef test_it(bot):\n    bot.silent()\n"


def test_each_file_tests_the_bot_that_it_imports_and_one_without_is_told_so(tmp_path: Path) -> None:
    documented, *_, test = blocks(PAGES["handlers"], "python")
    bots = [documented, *(BOT.format(name=name) for name in ("one", "two"))]
    tests = [test, *(TEST.format(name=name) for name in ("one", "two"))]
    output = run_team_tests(tmp_path, *bots, *tests, TEST_WITHOUT_A_BOT)
    assert "3 passed, 1 error" in output, output
    assert (
        "there is no handler to test: import your bot's module in the test's file, or set HANDLERS" in output
    )


def test_the_plugin_imports_nothing_heavy_before_a_test_asks_for_a_bot() -> None:
    run = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    assert HEAVY & set(run.stdout.split()) == set()
