"""What a stack leaves in its directory for the next one, and for the command line beside it."""

import os
from pathlib import Path

import pytest

from app.dev.data_directory import DirectoryError, credential, join, locked, publish, withdraw


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NEVERDROP_ENV", "REDIS_URL", "DATABASE_URL", "PORT"):
        monkeypatch.setenv(name, "")  # so that what `join` sets is undone
        monkeypatch.delenv(name)


def test_one_stack_at_a_time_runs_on_a_directory(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(DirectoryError, match=rf"process {os.getpid()}\) runs on"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DirectoryError, match="--data"), locked(tmp_path / "file" / "data"):
        pass


def test_a_generated_password_is_kept_and_is_its_owners_alone(tmp_path: Path) -> None:
    first = credential(tmp_path, "flower")
    assert len(first) >= 16
    assert credential(tmp_path, "flower") == first
    assert credential(tmp_path, "valkey") != first
    assert [path.stat().st_mode & 0o777 for path in tmp_path.iterdir()] == [0o600]


def test_a_credentials_file_that_was_cut_short_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text('{"flower": "abc')
    assert credential(tmp_path, "flower") == credential(tmp_path, "flower")


def test_the_command_line_finds_the_stores_of_a_running_stack(tmp_path: Path) -> None:
    with locked(tmp_path):
        publish(tmp_path, {"REDIS_URL": "redis://here", "NEVERDROP_ENV": "development", "HOME": "/"})
        assert join(tmp_path)
    assert os.environ["REDIS_URL"] == "redis://here"
    assert os.environ["NEVERDROP_ENV"] == "development"


def test_what_is_given_comes_before_what_a_stack_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://given")
    with locked(tmp_path):
        publish(tmp_path, {"REDIS_URL": "redis://here", "DATABASE_URL": "postgresql://here"})
        assert join(tmp_path)
    assert os.environ["REDIS_URL"] == "redis://given"
    assert os.environ["DATABASE_URL"] == "postgresql://here"


def test_a_stack_that_was_killed_is_not_joined(tmp_path: Path) -> None:
    with locked(tmp_path):
        publish(tmp_path, {"REDIS_URL": "redis://gone"})
    assert not join(tmp_path)
    assert "REDIS_URL" not in os.environ


def test_a_stack_that_ends_is_not_joined(tmp_path: Path) -> None:
    with locked(tmp_path):
        publish(tmp_path, {"REDIS_URL": "redis://ending"})
        withdraw(tmp_path)
        assert not join(tmp_path)


def test_production_by_name_joins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEVERDROP_ENV", "production")
    with locked(tmp_path):
        publish(tmp_path, {"REDIS_URL": "redis://here"})
        assert not join(tmp_path)
