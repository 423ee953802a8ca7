"""How long a newcomer waits: ``python -m bench.newcomer``. Needs git, make and what pip needs; nothing is left behind.

1. From `git clone` to the first answer in the chat: cloned, set up as `make run` does it, ready, answered.
2. From the save of a handler until it is live, under `neverdrop up --reload`.
3. The first bot test of docs/testing.md, in ten lines.
"""

import os
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import httpx
from rich.console import Console
from rich.table import Table

from app.dev.stack import free_port

ROOT = Path(__file__).parents[1]
USER = "15550002222"
WAIT_SECONDS = 300
END_SECONDS = 60
POLL_SECONDS = 0.02
BOT = """from app.handlers import on_message


@on_message("text")
def answer(event, ctx):
    ctx.reply("{word}")
"""
TEST = """import newcomers_bot


def test_a_greeting_is_answered(bot):
    ada = bot.user("15550002222", "Ada")
    ada.sends("hi")
    bot.replied("{word}")
"""
CALL = re.compile(r"([\d.]+)s call")
# Of the one who measures, not of a newcomer
NOT_A_NEWCOMERS = (
    "HANDLERS",
    "REDIS_URL",
    "DATABASE_URL",
    "NEVERDROP_ENV",
    "WHATSAPP_",
    "VIRTUAL_ENV",
    "MAKE",
    "PORT",
)


class Pipeline:
    """A running `neverdrop up`, with the lines that it writes and the page on which the newcomer chats with the bot."""

    def __init__(self, up: "subprocess.Popen[str]", chat_port: int) -> None:
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{chat_port}", trust_env=False)
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, args=(up,), daemon=True).start()

    def _read(self, up: "subprocess.Popen[str]") -> None:
        for line in up.stdout or ():
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, part: str) -> None:
        """Wait for a line with ``part``."""
        seen: list[str] = []
        while (line := self._lines.get(timeout=WAIT_SECONDS)) is not None:
            seen.append(line)
            if part in line:
                return
        raise RuntimeError(f"`neverdrop up` ended without {part!r}:\n" + "".join(seen))

    def seconds_to_answer(self, text: str, answer: str) -> float:
        """Write to the bot; return how long it took until it answered."""
        before, began = len(self._answers()), time.monotonic()
        self._client.post("/chat/send", json={"user": USER, "text": text}).raise_for_status()
        while answer not in self._answers()[before:]:
            if time.monotonic() - began > WAIT_SECONDS:
                raise TimeoutError(f"the bot did not answer {answer!r} within {WAIT_SECONDS} s")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - began

    def _answers(self) -> list[str]:
        messages = self._client.get("/chat/messages", params={"user": USER}).json()["messages"]
        return [each["message"]["text"]["body"] for each in messages if each["from_bot"]]


@contextmanager
def running(project: Path, data: Path, *options: str, **variables: str) -> Iterator[Pipeline]:
    """Run `neverdrop up`, as `make run` does, until it is ready; end it with the block."""
    port, chat_port = free_port(), free_port()
    ports = (f"--port={port}", f"--chat-port={chat_port}", f"--flower-port={free_port()}")
    with subprocess.Popen(  # noqa: S603  (our own command)
        [project / ".venv" / "bin" / "neverdrop", "up", f"--data={data}", *ports, *options],
        cwd=project,
        env=_environment() | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as up:
        try:
            pipeline = Pipeline(up, chat_port)
            pipeline.wait_for("ready: POST")
            yield pipeline
        finally:
            up.terminate()
            up.wait(END_SECONDS)


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(NOT_A_NEWCOMERS)}


def _run(*command: str | Path, cwd: Path) -> tuple[float, str]:
    """Run to the end; return how long it took, and what it printed."""
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603  (our own commands)
        command,
        cwd=cwd,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_SECONDS,
    )
    if done.returncode:
        raise RuntimeError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - began, done.stdout


def first_answer(directory: Path) -> Iterator[tuple[str, float]]:
    """Yield each step from the clone to the answered message with its seconds."""
    project = directory / "neverdrop"
    yield "git clone", _run("git", "clone", "--quiet", ROOT, project, cwd=directory)[0]
    yield "environment, as make run sets it up", _run("make", ".venv/installed", cwd=project)[0]
    began = time.monotonic()
    with running(project, directory / "data") as pipeline:
        yield "neverdrop up: ready", time.monotonic() - began
        yield "first message answered in the chat", pipeline.seconds_to_answer("hello", "hello")


def reloaded(directory: Path, rounds: int) -> Iterator[float]:
    """Yield the seconds from each save of a handler until it is live."""
    bot = directory / "newcomers_bot.py"
    bot.write_text(BOT.format(word="version 0"), encoding="utf-8")
    variables = {"HANDLERS": bot.stem, "PYTHONPATH": str(directory)}
    with running(ROOT, directory / "data-reload", "--no-flower", "--reload", **variables) as pipeline:
        for number in range(1, rounds + 1):
            began = time.monotonic()
            bot.write_text(BOT.format(word=f"version {number}"), encoding="utf-8")
            pipeline.wait_for(f"reloaded {bot.stem}")
            yield time.monotonic() - began
            pipeline.seconds_to_answer("hi", f"version {number}")


def bot_test(directory: Path) -> tuple[float, float]:
    """Return how long the test itself took, and the whole command."""
    (directory / "newcomers_bot.py").write_text(BOT.format(word="hello"), encoding="utf-8")
    (directory / "test_newcomer.py").write_text(TEST.format(word="hello"), encoding="utf-8")
    python = ROOT / ".venv" / "bin" / "python"
    options = ("-q", "-p", "no:cacheprovider", "--durations", "0", "--durations-min", "0")
    command, said = _run(python, "-m", "pytest", *options, "test_newcomer.py", cwd=directory)
    call = CALL.search(said)
    if call is None:
        raise RuntimeError(f"pytest did not say how long the test took:\n{said}")
    return float(call[1]), command


@click.command(help=__doc__)
@click.option("--rounds", default=5, show_default=True, help="how often a handler is saved")
def main(rounds: int) -> None:
    table = Table("step", "seconds", box=None)
    with tempfile.TemporaryDirectory(prefix="neverdrop-newcomer-") as path:
        directory = Path(path)
        steps = []
        for step, seconds in first_answer(directory):
            steps.append(seconds)
            table.add_row(step, f"{seconds:.1f}")
        table.add_row("clone to first answer", f"{sum(steps):.1f}")
        saves = sorted(reloaded(directory, rounds))
        table.add_row(f"saved handler is live (median of {rounds})", f"{saves[len(saves) // 2]:.2f}")
        table.add_row("saved handler is live (slowest)", f"{saves[-1]:.2f}")
        test, command = bot_test(directory)
        table.add_row("first bot test itself", f"{test:.2f}")
        table.add_row("first bot test, with python and pytest", f"{command:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
