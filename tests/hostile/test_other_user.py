"""What another user of the same machine can reach of a pipeline that runs there: nothing.

The other user is a real one, made for the test: its processes try to open every file and socket.
"""

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.acceptance.test_up import Up
from tests.helpers import factories as f
from tests.helpers import services as servers

OTHER = "neverdrop-other"
SOCKETS = ("valkey.sock", ".s.PGSQL.5432")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module")
def other() -> Iterator[str]:
    if shutil.which("useradd") is None:
        pytest.skip("there is no useradd")
    subprocess.run(["useradd", "--system", "--no-create-home", OTHER], check=False, capture_output=True)
    yield OTHER
    subprocess.run(["userdel", OTHER], check=False, capture_output=True)


@contextmanager
def become(user: str) -> Iterator[None]:
    """Be that user, with no right of root's, until the block ends."""
    account, groups = pwd.getpwnam(user), os.getgroups()
    os.setgroups([])
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def is_open(path: Path) -> bool:
    """Whether this user can open the file, or connect to the socket."""
    try:
        if path.name in SOCKETS:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def reached(user: str, paths: list[Path]) -> list[Path]:
    """Return those of the paths that the user can open."""
    with become(user):
        return [path for path in paths if is_open(path)]


@pytest.fixture(scope="module")
def up(other: str) -> Iterator[Up]:
    with servers.directory() as path:
        found = Up(
            path / "data",
            "--no-flower",
            FLOWER_BASIC_AUTH="ada:secret-of-ada",
            WHATSAPP_APP_SECRET=f.APP_SECRET,
        )
        found.until("ready: POST webhooks")
        yield found
        found.end()


def test_another_user_reads_no_file_connects_to_no_socket_and_sees_no_secret(up: Up, other: str) -> None:
    paths = [path for path in up.data.rglob("*") if path.is_file() or path.is_socket()]
    assert {*SOCKETS, "environment.json"} <= {path.name for path in paths}
    assert any("appendonlydir" in str(path) for path in paths)
    assert [path for path in paths if not is_open(path)] == []  # root can
    assert reached(other, paths) == []

    processes = psutil.Process(up.process.pid).children(recursive=True)
    assert len(processes) > 5
    assert reached(other, [Path(f"/proc/{each.pid}/environ") for each in processes]) == []
    secrets = json.loads((up.data / "credentials.json").read_text()).values()
    for process in processes:
        if process.status() == psutil.STATUS_ZOMBIE:
            continue
        arguments = " ".join(process.cmdline())
        assert [secret for secret in (*secrets, f.APP_SECRET, "secret-of-ada") if secret in arguments] == []
        environment = process.environ()
        assert "FLOWER_BASIC_AUTH" not in environment, process.name()
        if process.name() in ("postgres", "valkey-server"):
            assert f.APP_SECRET not in environment.values()


def test_files_are_their_owners_alone(up: Up) -> None:
    for path in up.data.rglob("*"):
        if not path.is_symlink():
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
