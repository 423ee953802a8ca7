"""`neverdrop up`: one command, everything ready, nothing left behind."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.dev.processes.children import Records
from app.dev.stack.embedded import free_port
from tests.acceptance.docs_shell import DocsShell
from tests.helpers import services as servers
from tests.helpers.services import execute

COMMAND = "from app.cli import main; main()"
READY_SECONDS = 90
END_SECONDS = 60
GIVEN = ("REDIS_URL", "DATABASE_URL", "NEVERDROP_ENV", "WHATSAPP_APP_SECRET", "WHATSAPP_VERIFY_TOKEN", "PORT")


class Up:
    """One run of the command, with its lines; ``ports`` are its web's and the stand-in's."""

    def __init__(
        self, data: Path, *options: str, ports: tuple[int, int] | None = None, **variables: str
    ) -> None:
        environment = {name: value for name, value in os.environ.items() if name not in GIVEN}
        self.data = data
        self.port, self.chat_port = ports or (free_port(), free_port())
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-c", COMMAND, "up", "--data", str(data), "--port", str(self.port)),
                *("--chat-port", str(self.chat_port)),
                *options,
            ],
            env=environment | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self._lines.put(line.rstrip())
        self._lines.put(None)

    def until(self, part: str) -> str:
        """The next line with ``part``."""
        while True:
            line = self._lines.get(timeout=READY_SECONDS)
            assert line is not None, f"ended without {part!r}:\n" + "\n".join(self.seen)
            self.seen.append(line)
            if part in line:
                return line

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit status."""
        self.process.send_signal(number)
        status = self.process.wait(END_SECONDS)
        self._reader.join(END_SECONDS)
        assert self.process.stdout
        self.process.stdout.close()
        return status

    def started(self) -> list[psutil.Process]:
        return [running.process for records in Records.all_in(self.data) for running in records.alive()]


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    runs: list[Up] = []
    with servers.directory() as path:

        def run(*options: str, ports: tuple[int, int] | None = None, **variables: str) -> Up:
            runs.append(Up(path / "data", *options, ports=ports, **variables))
            return runs[-1]

        yield run
        for each in runs:
            each.end(signal.SIGKILL)
            psutil.wait_procs(each.started(), timeout=END_SECONDS)


def run_url(run: Up) -> str:
    published: dict[str, str] = json.loads((run.data / "environment.json").read_text(encoding="utf-8"))
    return published["DATABASE_URL"].replace("+psycopg2", "")


def watchdog_of(run: Up) -> psutil.Process:
    children = psutil.Process(run.process.pid).children()
    return next(child for child in children if "app.dev.processes" in child.cmdline())


def gone(processes: list[psutil.Process]) -> bool:
    return psutil.wait_procs(processes, timeout=END_SECONDS)[1] == []


def test_one_command_starts_everything_runs_what_the_docs_show_and_ends_it(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    shell = DocsShell(tmp_path, flower_port := free_port())
    run = up(
        *("--flower-port", str(flower_port)),
        HANDLERS=shell.write_the_handler(), PYTHONPATH=str(tmp_path), FLOWER_BASIC_AUTH="ada:password",
    )  # fmt: skip
    assert "neverdrop-development-secret" in run.until("app secret")
    run.until("ready: POST webhooks to")
    assert httpx.get(f"http://127.0.0.1:{run.port}/readyz", trust_env=False).json()["ready"]
    processes = run.started()
    assert len(processes) == 9  # two stores, web, ingest, worker, sender, beat, Flower, the stand-in for Meta

    shell.stand_beside(run.data, run.port)
    shell.type_the_rest()
    assert shell.not_typed == {}
    shell.write_in_the_browser(f"http://127.0.0.1:{run.chat_port}", "You wrote tea, and this is attempt 1.")

    second = up("--no-flower")
    assert f"(process {run.process.pid}) runs on" in second.until("another `neverdrop up`")
    assert second.process.wait(END_SECONDS) == 1

    (beat,) = [process for process in processes if "beat" in process.cmdline()]
    beat.kill()
    run.until("beat ended with signal 9: again in 1 s")

    assert run.end() == 0
    assert gone(processes)
    assert sorted(path.name for path in run.data.glob("processes.*")) == []


def test_the_data_outlives_a_stack_that_was_killed_and_nothing_lingers(up: Callable[..., Up]) -> None:
    killed_with_its_watchdog = up("--no-flower")
    killed_with_its_watchdog.until("ready: POST")
    execute(run_url(killed_with_its_watchdog), "CREATE TABLE kept AS SELECT 1 AS one")
    left = killed_with_its_watchdog.started()
    watchdog_of(killed_with_its_watchdog).kill()
    killed_with_its_watchdog.end(signal.SIGKILL)
    assert all(process.is_running() for process in left)

    # Those that are left listen on the ports that this one wants
    killed = up("--no-flower", ports=(killed_with_its_watchdog.port, killed_with_its_watchdog.chat_port))
    killed.until("webhook ")
    assert gone(left)
    execute(run_url(killed), "SELECT one FROM kept")
    lingering = killed.started()
    killed.end(signal.SIGKILL)
    assert gone(lingering)


def test_a_port_in_use_is_named_before_anything_starts(up: Callable[..., Up]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        run = up("--flower-port", str(taken))
        assert "--flower-port" in run.until(f"port {taken} on 127.0.0.1 cannot be used")
        assert run.process.wait(END_SECONDS) == 1
    assert run.started() == []


@pytest.mark.parametrize("file", ["app/__init__.py", "config/__init__.py", "tasks/__init__.py", "tasks.py"])
def test_a_package_that_hides_ours_is_named_before_anything_starts(tmp_path: Path, file: str) -> None:
    source = tmp_path / file
    source.parent.mkdir(exist_ok=True)
    source.touch()
    kind, name = ("module", source.stem) if source.parent == tmp_path else ("package", source.parent.name)
    run = _run_command_in(tmp_path)
    assert f"there is a {kind} named `{name}` in {tmp_path}" in run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode == 1
    assert not (tmp_path / "data").exists()


def test_a_directory_without_init_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        run = _run_command_in(tmp_path, "--port", str(other.getsockname()[1]))
    assert "cannot be used" in run.stderr  # the next check was reached


def _run_command_in(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command, as a person does: ``python -c`` would import from ``directory`` itself."""
    command = Path(sys.executable).with_name("neverdrop")
    environment = {name: value for name, value in os.environ.items() if name not in (*GIVEN, "PYTHONPATH")}
    return subprocess.run(
        [command, "up", "--no-flower", "--chat-port", str(free_port()), "--data", "data", *options],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=READY_SECONDS,
        check=False,
    )


def test_a_stop_during_the_start_ends_what_has_started(up: Callable[..., Up]) -> None:
    run = up("--no-flower")
    run.until("database system is ready")
    assert run.end(signal.SIGINT) == 0
    assert run.started() == []


def test_given_stores_are_used_and_none_is_started(
    up: Callable[..., Up], redis_url: str, database_url: str
) -> None:
    run = up("--no-flower", REDIS_URL=redis_url, DATABASE_URL=database_url)
    assert "(given)" in run.until("REDIS_URL")
    run.until("ready: POST")
    assert {process.name() for process in run.started()}.isdisjoint({"valkey-server", "postgres"})
    assert run.end() == 0


def test_production_mode_has_no_development_secret(up: Callable[..., Up]) -> None:
    run = up("--no-flower", NEVERDROP_ENV="production")
    run.until("WHATSAPP_APP_SECRET: is not set")
    assert run.process.wait(END_SECONDS) == 1


def test_a_database_that_cannot_be_reached_is_a_sentence(up: Callable[..., Up], redis_url: str) -> None:
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/none"
    run = up("--no-flower", REDIS_URL=redis_url, DATABASE_URL=nowhere)
    run.until("DATABASE_URL cannot be used")
    assert run.process.wait(END_SECONDS) == 1
