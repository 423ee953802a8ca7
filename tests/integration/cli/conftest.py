"""What the tests of commands share."""

import logging
from collections.abc import Iterator

import pytest

from config import logging as product_logging


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that runs in the test's process logs as a command does; the tests after it do not."""
    output, root = product_logging._output, logging.getLogger()
    before, level, handlers = dict(vars(output)), root.level, list(root.handlers)
    yield
    vars(output).update(before)
    root.setLevel(level)
    root.handlers = handlers
    logging.captureWarnings(False)
