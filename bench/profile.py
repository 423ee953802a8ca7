"""Where the time goes: py-spy on one process of Neverdrop while it is under load.

``python -m bench.profile web`` (or ingest, ingest-main, worker, worker-main, ...) prints, in per cent: packages by
their own code, and functions with what they call. By default of the time in which the process ran Python (held the
GIL); with ``--clock wall`` of all the time of its main thread, so that it shows what it waits for.
The samples stay in a file that https://www.speedscope.app shows as they are.
"""

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table

from app.dev.processes.children import Program
from bench.options import Options
from bench.subjects.catalog import NEVERDROP
from bench.subjects.turn import Turn, tree
from bench.traffic.bodies import Kind
from bench.traffic.load import prepared
from bench.traffic.sender import Order

RATE = 250  # samples a second
CONNECTIONS = 16
FRAME = re.compile(r"^(?P<function>.*) \((?P<file>.*?)(?::(?P<line>\d+))?\)$")
OURS = ("app/", "tasks/", "config/", "bench/")
PACKAGE = re.compile(r"site-packages/([^/.]+)")
STANDARD = re.compile(r"/lib/python3\.\d+/([^/.]+)")


@dataclass(frozen=True, slots=True)
class Profile:
    """Counts of samples: by package and by function alone, and by function with what it calls."""

    total: int
    packages: Counter[str]
    alone: Counter[str]
    inclusive: Counter[str]

    @classmethod
    def read(cls, raw: str) -> "Profile":
        """py-spy's raw format: ``frame;frame;... count`` on each line."""
        packages, alone, inclusive = Counter[str](), Counter[str](), Counter[str]()
        total = 0
        for line in raw.splitlines():
            stack, _, found = line.rpartition(" ")
            count = int(found)
            frames = [_named(frame) for frame in stack.split(";") if FRAME.match(frame)]
            if not frames:
                continue
            total += count
            packages[_package(stack.rpartition(";")[2])] += count
            alone[frames[-1]] += count
            inclusive.update(dict.fromkeys(frames, count))
        return cls(total, packages, alone, inclusive)


def _named(frame: str) -> str:
    match = FRAME.match(frame)
    return f"{match['function']} ({_short(match['file'])})" if match else frame


def _short(file: str) -> str:
    for root in ("site-packages/", f"{Path.cwd()}/"):
        if root in file:
            return file.partition(root)[2]
    found = STANDARD.search(file)
    return file[found.start(1) :] if found else file


def _package(frame: str) -> str:
    match = FRAME.match(frame)
    file = match["file"] if match else frame
    if _short(file).startswith(OURS):
        return _short(file).partition("/")[0]
    found = PACKAGE.search(file) or STANDARD.search(file)
    return found[1] if found else file


LoadOf = Callable[[Turn, float, int, Kind], AbstractContextManager[None]]


@contextmanager
def _web(running: Turn, seconds: float, events: int, kind: Kind) -> Iterator[None]:  # noqa: ARG001  (as the others)
    order = Order(running.port, running.traffic(0, kind), CONNECTIONS, seconds=seconds + 2)
    with prepared(order) as load:
        load.begin()
        yield
        load.result()


@contextmanager
def _everything(running: Turn, seconds: float, events: int, kind: Kind) -> Iterator[None]:
    """Bodies come as fast as they are taken, and all processes work."""
    with _web(running, seconds, events, kind):
        yield


def _waiting(*names: str) -> LoadOf:
    """Bodies wait, and the named processes alone work on them."""

    @contextmanager
    def load(running: Turn, seconds: float, events: int, kind: Kind) -> Iterator[None]:  # noqa: ARG001
        running.freeze()
        running.post(running.traffic(events, kind), events)
        if "worker1" in names:
            running.thaw("ingest1")
            while running.stores.redis.hlen("journal"):
                time.sleep(0.1)
        running.thaw(*names)
        yield

    return load


CLOCKS = {"cpu": ["--gil"], "wall": ["--idle", "--threads"]}
MAIN_THREAD = "MainThread"
# name → (program, whether its pool child, load)
TARGETS: dict[str, tuple[str, bool, LoadOf]] = {
    "web": ("web", True, _web),
    "ingest": ("ingest1", True, _waiting("ingest1")),
    "ingest-main": ("ingest1", False, _waiting("ingest1")),
    "worker": ("worker1", True, _waiting("worker1")),
    "worker-main": ("worker1", False, _waiting("worker1")),
    "together-ingest": ("ingest1", True, _everything),
    "together-worker": ("worker1", True, _everything),
}


def record(target: str, seconds: float, events: int, kind: Kind, out: Path, clock: str = "cpu") -> Profile:
    """Start Neverdrop, put it under load, and sample one of its processes."""
    program, in_pool, load = TARGETS[target]
    with tempfile.TemporaryDirectory(prefix="nb-") as data:
        consumers: list[Program] | None = [] if program == "web" else None
        with Options(Path(data)).turn(NEVERDROP, consumers=consumers) as running:
            own, children = tree(running.running[program])
            process = _busiest(children) if in_pool and children else own
            with load(running, seconds, events, kind):
                _sample(process.pid, seconds, out, CLOCKS[clock])
    lines = out.read_text(encoding="utf-8").splitlines()
    return Profile.read("\n".join(line for line in lines if clock == "cpu" or MAIN_THREAD in line))


def _busiest(children: list[psutil.Process]) -> psutil.Process:
    return max(children, key=_cpu_seconds)


def _cpu_seconds(process: psutil.Process) -> float:
    seconds: float = process.cpu_times().user
    return seconds


def _sample(pid: int, seconds: float, out: Path, options: Sequence[str]) -> None:
    binary = Path(sys.executable).with_name("py-spy")
    command = [
        str(binary), "record", "--pid", str(pid), "--duration", f"{seconds:.0f}", "--rate", str(RATE),
        "--format", "raw", "--output", str(out), "--full-filenames", "--nolineno", *options,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603  (our own line)


def show(profile: Profile, console: Console, lines: int) -> None:
    """Three tables in per cent."""
    for title, counts in (
        ("package, its own code", profile.packages),
        ("function with what it calls", profile.inclusive),
        ("function alone", profile.alone),
    ):
        table = Table(title, "%", box=None, pad_edge=False)
        for name, count in counts.most_common(lines):
            table.add_row(name, f"{100 * count / profile.total:.1f}")
        console.print(table)
        console.print()


@click.command()
@click.argument("target", type=click.Choice(list(TARGETS)))
@click.option("--seconds", type=float, default=15, show_default=True)
@click.option("--events", default=10_000, show_default=True, help="That wait, where a process works alone.")
@click.option("--kind", type=click.Choice(["messages", "mix"]), default="messages", show_default=True)
@click.option("--lines", type=int, default=40, show_default=True)
@click.option("--clock", type=click.Choice(list(CLOCKS)), default="cpu", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path(".neverdrop/bench"), show_default=True)
def main(target: str, seconds: float, events: int, kind: Kind, lines: int, clock: str, out: Path) -> None:
    """Profile one process under load."""
    out.mkdir(parents=True, exist_ok=True)
    file = out / f"profile-{target}-{clock}.txt"
    profile = record(target, seconds, events, kind, file, clock)
    console = Console(width=130)
    console.print(f"{target}, {clock}: {profile.total} samples, in {file}", highlight=False)
    show(profile, console, lines)


if __name__ == "__main__":
    main()
