"""As root, Postgres runs as another user, and no directory is opened to anybody for that."""

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from app.dev.processes.children import Records, end
from app.dev.stack import postgres_home
from app.dev.stack.embedded import Server, launch, postgres
from app.dev.stack.postgres_home import ServerMissingError
from tests.helpers import services as servers

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="is about what root does")


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with servers.directory() as made:
        monkeypatch.setattr(postgres_home, "SHARED", made / "shared")
        yield made


def modes(path: Path) -> dict[Path, int]:
    return {each: each.stat().st_mode & 0o7777 for each in (path, *path.parents)}


def check_it_runs(server: Server, path: Path) -> None:
    running = launch(server, Records(path / "records"), path)
    try:
        assert running.process.username() == "pgserver"
        psycopg2.connect(server.url).close()
    finally:
        end([running])


def test_directories_that_let_others_through_stay_as_they_are(path: Path) -> None:
    before = modes(path)
    server = postgres(path / "postgres")
    assert server.data == path / "postgres"
    assert modes(path) == before
    assert server.data.stat().st_mode & 0o777 == 0o700
    check_it_runs(server, path)


def test_a_directory_that_is_closed_stays_closed_and_the_data_is_elsewhere(path: Path) -> None:
    closed = path / "closed" / "project"
    closed.mkdir(parents=True)
    closed.parent.chmod(0o700)
    before = modes(closed)
    server = postgres(closed / "postgres")
    assert server.data.parent == path / "shared"
    assert modes(closed) == before
    check_it_runs(server, path)
    assert postgres(closed / "postgres").data == server.data  # the next run finds it again


def test_programs_that_others_cannot_reach_are_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_home, "is_reachable", lambda _path: False)
    server = postgres(path / "postgres")
    assert Path(server.program.argv[0]).is_relative_to(path / "shared")
    check_it_runs(server, path)


def test_data_that_can_be_reached_no_more_is_not_left_behind_in_silence(path: Path) -> None:
    closed = path / "closed"
    (closed / "postgres").mkdir(parents=True)
    (closed / "postgres" / "PG_VERSION").write_text("18\n")
    closed.chmod(0o700)
    with pytest.raises(ServerMissingError, match="move it to"):
        postgres(closed / "postgres")


def test_a_shared_directory_that_others_may_write_to_is_not_used(path: Path) -> None:
    (path / "shared").mkdir()
    (path / "shared").chmod(0o777)
    closed = path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(ServerMissingError, match="root's alone"):
        postgres(closed / "postgres")
