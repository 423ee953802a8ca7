"""Logging as a worker has it."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from tests.unit.config.lines import use


@pytest.fixture
def configured() -> Iterator[None]:
    """JSON lines of a worker; what ``configure`` changes in the process is put back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, warnings.showwarning
    use()
    yield
    logging.captureWarnings(capture=False)
    root.handlers, root.level, sys.excepthook, threading.excepthook, warnings.showwarning = before
