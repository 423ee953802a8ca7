"""The directory of a stack: what is kept between runs, and what other processes may know of a running one.

Kept: the stores' data and generated credentials. While a stack runs: its lock, the record of its processes,
and the environment by which the command line in another terminal finds its stores.
"""

import contextlib
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from app.dev.processes import Records, end
from app.errors import NeverdropError

__all__ = ["DATA_DIRECTORY", "DirectoryError", "credential", "join", "locked", "publish", "withdraw"]

DATA_DIRECTORY = Path(".neverdrop")
LOCK = "lock"
CREDENTIALS = "credentials.json"
ENVIRONMENT = "environment.json"
PUBLISHED = (
    "NEVERDROP_ENV", "REDIS_URL", "DATABASE_URL", "PORT", "WHATSAPP_API_URL", "WHATSAPP_ACCESS_TOKEN", "HANDLERS",
)  # fmt: skip


class DirectoryError(NeverdropError):
    """The directory cannot be used; the text says why and what to do."""


@contextlib.contextmanager
def locked(data: Path) -> Iterator[None]:
    """One stack for each directory; the system lets go of the lock when its holder dies."""
    try:
        _make(data)
        file = (data / LOCK).open("a+", encoding="utf-8")
    except OSError as error:
        raise DirectoryError(f"cannot write to {data}: {error.strerror}. Choose another: --data") from error
    with file:
        if not _try_lock(file, fcntl.LOCK_EX):
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise DirectoryError(
                f"another `neverdrop up` (process {holder}) runs on {data}: stop it, or give another --data"
            )
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _make(data: Path) -> None:
    """Make the directory, closed to others; as root they may pass through it, since Postgres runs as another user."""
    mode = 0o711 if os.geteuid() == 0 else 0o700
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        data.mkdir(mode=mode)
        data.chmod(mode)  # the mask may have taken what Postgres needs
    except FileExistsError:
        found = data.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise DirectoryError(
                f"{data} is another user's, or others may write to it. Choose another: --data"
            ) from None


def _try_lock(file: IO[Any], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def end_leftovers(data: Path) -> int:
    """End what an earlier stack could not, since its watchdog was killed too; returns how many."""
    ended = 0
    for records in Records.all_in(data):
        alive = records.alive()
        end(alive)
        records.clear()
        ended += len(alive)
    return ended


def credential(data: Path, name: str) -> str:
    """A random password that is generated once and kept."""
    path = data / CREDENTIALS
    known: dict[str, str] = {}
    with contextlib.suppress(FileNotFoundError, ValueError):  # ValueError: a file that was cut short
        known = json.loads(path.read_text(encoding="utf-8"))
    if name not in known:
        known[name] = secrets.token_urlsafe(12)
        _write_private(path, known)
    return known[name]


def publish(data: Path, environment: dict[str, str]) -> None:
    """Leave the way to the stack that runs on ``data`` where ``join`` finds it."""
    found = {name: environment[name] for name in PUBLISHED if environment.get(name)}
    _write_private(data / ENVIRONMENT, found)


def withdraw(data: Path) -> None:
    """The stack is ending: nobody is to join it any more."""
    (data / ENVIRONMENT).unlink(missing_ok=True)


def join(data: Path = DATA_DIRECTORY) -> bool:
    """Let this process use the stores of the stack that runs on ``data``, so far as none are given.

    False, and nothing is changed, if no stack runs there or this process is in production mode by name.
    """
    if os.environ.get("NEVERDROP_ENV") == "production":
        return False
    try:
        published: dict[str, str] = json.loads((data / ENVIRONMENT).read_text(encoding="utf-8"))
        with (data / LOCK).open("r", encoding="utf-8") as file:
            if _try_lock(file, fcntl.LOCK_SH):  # nobody holds it: that stack was killed
                return False
    except (OSError, ValueError):
        return False
    for name, value in published.items():
        os.environ.setdefault(name, value)
    return True


def _write_private(path: Path, content: dict[str, str]) -> None:
    """Replace a file as a whole, readable by its owner only."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(json.dumps(content, indent=2), encoding="utf-8")
    new.replace(path)
