"""Children are started, named, started again and ended, whatever they do."""

import io
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.dev.processes.children import Program, Records, Running, end, start
from app.dev.processes.supervisor import Printer, Stopped, Supervisor
from tests.helpers.waiting import until

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
PARENT = (
    "import subprocess, sys, time;"
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']).pid, flush=True);"
    "time.sleep(600)"
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def python(name: str, code: str, **options: float) -> Program:
    return Program(name, (sys.executable, "-c", code), **options)  # type: ignore[arg-type]


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def supervisor(tmp_path: Path, log: io.StringIO, clock: Clock) -> Iterator[Supervisor]:
    made = Supervisor(Records.of_this_process(tmp_path), Printer(log), clock)
    yield made
    made.kill()
    made.end()


def test_each_line_stands_behind_the_name_of_its_program(supervisor: Supervisor, log: io.StringIO) -> None:
    supervisor.start(python("one", "print('hello'); print('wörld')"))
    until(lambda: log.getvalue() == "one      | hello\none      | wörld\n")


def test_bytes_that_are_no_text_do_not_end_the_log(supervisor: Supervisor, log: io.StringIO) -> None:
    supervisor.start(python("one", r"import os; os.write(1, b'\xff\n'); print('after')"))
    until(lambda: "after" in log.getvalue())


def test_what_ends_by_itself_is_started_again_later_each_time(
    supervisor: Supervisor, log: io.StringIO, clock: Clock
) -> None:
    first = supervisor.start(python("one", "raise SystemExit(3)"))
    for backoff in ("1", "2", "4"):
        until(lambda: not supervisor["one"].alive)
        supervisor.restart_ended()
        assert f"one ended with status 3: again in {backoff} s" in log.getvalue()
        supervisor.restart_ended()
        clock.now += float(backoff)
        supervisor.restart_ended()
    assert supervisor["one"].process.pid != first.process.pid


def test_the_backoff_begins_again_after_a_steady_run(
    supervisor: Supervisor, log: io.StringIO, clock: Clock
) -> None:
    supervisor.start(python("one", "import time; time.sleep(600)"))
    for _ in range(2):
        clock.now += 60
        supervisor["one"].send(signal.SIGKILL)
        until(lambda: not supervisor["one"].alive)
        supervisor.restart_ended()
        clock.now += 1
        supervisor.restart_ended()
    assert log.getvalue().count("one ended with signal 9: again in 1 s") == 2


def test_what_was_stopped_on_purpose_stays_stopped(supervisor: Supervisor, clock: Clock) -> None:
    supervisor.start(python("one", "import time; time.sleep(600)"))
    supervisor.stop("one")
    supervisor.restart_ended()
    clock.now += 3600
    supervisor.restart_ended()
    assert not supervisor["one"].alive


def test_nothing_is_started_once_the_end_is_asked_for(supervisor: Supervisor) -> None:
    supervisor.stopping.set()
    with pytest.raises(Stopped):
        supervisor.start(python("one", ""))


def test_a_reader_that_has_gone_is_noticed() -> None:
    class Gone(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    printer = Printer(Gone())
    printer.line("one", "hello")
    assert printer.closed.is_set()


def test_colours_are_left_out_unless_asked_for() -> None:
    plain, coloured = io.StringIO(), io.StringIO()
    Printer(plain).line("one", "hello")
    Printer(coloured, colour=True).line("one", "hello")
    assert "\x1b" not in plain.getvalue()
    assert "\x1b" in coloured.getvalue()


def test_one_that_does_not_want_to_stop_is_killed(supervisor: Supervisor, log: io.StringIO) -> None:
    running = supervisor.start(python("one", STUBBORN, grace_seconds=0.1))
    until(lambda: "up" in log.getvalue())
    supervisor.end()
    assert not running.alive


def test_what_a_child_has_started_ends_with_it(supervisor: Supervisor, log: io.StringIO) -> None:
    supervisor.start(python("one", PARENT))
    until(lambda: log.getvalue().endswith("\n"))
    grandchild = psutil.Process(int(log.getvalue().split()[-1]))
    supervisor["one"].send(signal.SIGKILL)
    until(lambda: not supervisor["one"].alive)
    supervisor.end()
    until(lambda: not grandchild.is_running() or grandchild.status() == psutil.STATUS_ZOMBIE)


def test_servers_end_after_what_needs_them(tmp_path: Path) -> None:
    note = tmp_path / "ends"
    code = (
        "import signal, sys, time;"
        f"signal.signal(15, lambda *_: (open({str(note)!r}, 'a').write(sys.argv[1] + ' '), sys.exit()));"
        "print('up', flush=True); time.sleep(600)"
    )
    log = io.StringIO()
    supervisor = Supervisor(Records.of_this_process(tmp_path), Printer(log))
    for name, server in (("server", True), ("client", False)):
        supervisor.start(Program(name, (sys.executable, "-c", code, name), server=server))
    until(lambda: log.getvalue().count("up") == 2)
    supervisor.end()
    assert note.read_text().split() == ["client", "server"]


def test_a_record_finds_a_child_that_another_parent_left(tmp_path: Path) -> None:
    records = Records.of_this_process(tmp_path)
    running = start(python("one", "import time; time.sleep(600)"), records)
    (found,) = Records.all_in(tmp_path)[0].alive()
    assert (found.program.name, found.process.pid) == ("one", running.process.pid)
    end([found])
    assert not running.alive
    assert records.alive() == []


def test_a_record_whose_number_is_another_process_by_now_means_nobody(tmp_path: Path) -> None:
    records = Records.of_this_process(tmp_path)
    running = start(python("one", "import time; time.sleep(600)"), records)
    text = records.path.read_text()
    created = running.process.create_time()
    records.path.write_text(text.replace(str(created), str(created - 3600)))
    assert records.alive() == []
    end([running])


def test_a_record_that_was_cut_short_means_nobody(tmp_path: Path) -> None:
    records = Records.of_this_process(tmp_path)
    records.path.write_text('{"name": "one", "pi')
    assert records.alive() == []


def test_one_that_was_paused_can_be_ended(tmp_path: Path) -> None:
    running: Running = start(python("one", "import time; time.sleep(600)"), Records(tmp_path / "records"))
    running.send_all(signal.SIGSTOP)
    end([running])
    assert not running.alive
