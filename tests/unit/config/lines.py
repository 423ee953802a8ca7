"""Write log lines and read them, for the tests of logging."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from config.logging import configure, get_logger
from config.settings import load

STDERR = 2

PHONE = "12055550123"

log = get_logger("tests.logging")


def use(**settings: Any) -> None:
    configure(load(neverdrop_env="development", **settings), "worker")


@contextmanager
def standard_error() -> Iterator[Callable[[], str]]:
    """Catches what is written to the file descriptor, as the lines are."""
    kept = os.dup(STDERR)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), STDERR)

        def read() -> str:
            caught.seek(0)
            return caught.read().decode()

        try:
            yield read
        finally:
            os.dup2(kept, STDERR)
            os.close(kept)


def written(write: Callable[[], object]) -> str:
    with standard_error() as read:
        write()
        return read()


def line(write: Callable[[], object]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written(write))
    return found
