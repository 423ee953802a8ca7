"""What keeps the demo apart: settings, directory, log and signals of its own, all as before when it ends."""

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import click

from app.dev.processes import Printer, Records, Stopped, Supervisor
from app.stores import connections
from config.settings import Settings, settings

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def own_settings() -> Iterator[None]:
    """An environment in which nothing is set but what the demo sets; the old one comes back."""
    before = dict(os.environ)
    for name in before:
        if name.lower().removesuffix("_file") in Settings.model_fields:
            del os.environ[name]
    os.environ.update(
        NEVERDROP_ENV="development",
        LOG_FORMAT="json",
        HANDLERS="app.dev.demo.handlers",
        WHATSAPP_APP_SECRET=secrets.token_hex(),
    )
    _reset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        _reset()


def _reset() -> None:
    connections.reset()
    settings.cache_clear()


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="neverdrop-demo-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def log_file() -> Iterator[Path]:
    """For the lines of all processes; it stays, and is named, if the block does not end well."""
    descriptor, name = tempfile.mkstemp(prefix="neverdrop-demo-", suffix=".log")
    os.close(descriptor)
    path = Path(name)
    try:
        yield path
    except Stopped:
        path.unlink()
        raise
    except BaseException:
        click.echo(f"what all processes said: {path}", err=True)
        raise
    path.unlink()


@contextlib.contextmanager
def stoppable(printer: Printer) -> Iterator[Callable[[Records], Supervisor]]:
    """Makes a supervisor that the signals stop: the first gently, the next at once."""
    made: list[Supervisor] = []

    def supervise(records: Records) -> Supervisor:
        made.append(Supervisor(records, printer))
        return made[0]

    def stop(_number: int, _frame: FrameType | None) -> None:
        if not made:
            raise KeyboardInterrupt
        if made[0].stopping.is_set():
            made[0].kill()
        made[0].stopping.set()

    before = {number: signal.signal(number, stop) for number in STOP_SIGNALS}
    try:
        yield supervise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
