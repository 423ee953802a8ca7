"""Run a command and read its lines."""

import json
from typing import Any

from click.testing import CliRunner, Result

from app.cli.entry import cli
from tests.helpers.core import Core, text_body


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def lines(result: Result) -> list[Any]:
    """The objects that were printed."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def dead(core: Core, *texts: str) -> list[int]:
    core.broken.update(texts)
    core.ingest(text_body(*texts))
    core.run()
    return [core.event(words).id for words in texts]
