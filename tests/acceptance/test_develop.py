"""Developing a bot: reloaded handlers, an import that fails, a tunnel, a Procfile that leaves no orphans."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.dev.stack.embedded import free_port
from tests.acceptance.test_up import END_SECONDS, GIVEN, READY_SECONDS, Up
from tests.helpers import services as servers
from tests.helpers.factories import APP_SECRET, body, messages, signed, text_message
from tests.helpers.services import Services
from tests.unit.pages import ROOT
from tests.unit.shell_blocks import that_need_more
from tests.unit.test_ship import procfile

SECRET = "neverdrop-development-secret"
BOT = """from app.handlers import on_message


@on_message("text")
def answer(event, ctx):
    print("handled-by-the-{word}", flush=True)
"""
BROKEN = "from app.handlers import on_message\n\nno_such_name\n"
FAKE_TUNNEL = """#!/bin/sh
echo "INF starting a tunnel for $* with secret ${WHATSAPP_APP_SECRET:-unknown}"
echo "INF |  https://some-words-here.trycloudflare.com  |"
exec sleep 1000
"""


@pytest.fixture
def up() -> Iterator[Callable[..., Up]]:
    runs: list[Up] = []
    with servers.directory() as path:

        def run(*options: str, **variables: str) -> Up:
            runs.append(Up(path / "data", "--no-flower", *options, **variables))
            return runs[-1]

        yield run
        for each in runs:
            each.end(signal.SIGKILL)
            psutil.wait_procs(each.started(), timeout=END_SECONDS)


def write(run: Up, text: str, number: int) -> None:
    request = signed(body(messages(text_message(text, number=number))), secret=SECRET)
    url = f"http://127.0.0.1:{run.port}/webhook"
    httpx.post(
        url, content=request.body, headers=request.headers, timeout=20, trust_env=False
    ).raise_for_status()


def test_a_saved_handler_is_live_and_a_broken_one_leaves_the_old_one_at_work(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    (documented,) = [block for block in that_need_more() if block.needs.endswith("test_develop.py")]
    variable, *words = shlex.split(documented.text)
    name = variable.removeprefix("HANDLERS=")
    bot = tmp_path / f"{name}.py"
    bot.write_text(BROKEN, encoding="utf-8")
    run = up(*words[words.index("up") + 1 :], HANDLERS=name, PYTHONPATH=str(tmp_path))
    run.until(f"HANDLERS: cannot import {name}: {bot}:3: NameError")
    bot.write_text(BOT.format(word="first"), encoding="utf-8")
    run.until("ready: POST")
    write(run, "one", 1)
    run.until("handled-by-the-first")
    bot.write_text(BROKEN, encoding="utf-8")
    run.until(f"{bot}:3: NameError")
    write(run, "two", 2)
    run.until("handled-by-the-first")
    bot.write_text(BOT.format(word="second"), encoding="utf-8")
    run.until(f"reloaded {name}")
    write(run, "three", 3)
    run.until("handled-by-the-second")
    assert sum("NameError" in line for line in run.seen) == 2
    assert not any("Traceback" in line for line in run.seen)


def test_an_import_that_fails_stops_the_start_with_file_and_line(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    bot = tmp_path / "broken_bot.py"
    bot.write_text(BROKEN, encoding="utf-8")
    run = up(HANDLERS="broken_bot", PYTHONPATH=str(tmp_path))
    run.until(
        f"Error: HANDLERS: cannot import broken_bot: {bot}:3: NameError: name 'no_such_name' is not defined"
    )
    assert run.process.wait(END_SECONDS) == 1
    assert sum("no_such_name" in line for line in run.seen) == 1
    assert not any("Traceback" in line for line in run.seen)


def test_a_tunnel_runs_beside_and_says_what_to_enter_at_meta(up: Callable[..., Up], tmp_path: Path) -> None:
    fake = tmp_path / "cloudflared"
    fake.write_text(FAKE_TUNNEL, encoding="utf-8")
    fake.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    run = up("--tunnel", PATH=path, WHATSAPP_APP_SECRET=APP_SECRET)
    assert f"http://127.0.0.1:{run.port} with secret unknown" in run.until("starting a tunnel")
    run.until("https://some-words-here.trycloudflare.com/webhook")
    run.until("verify token neverdrop-development-token")
    run.until("ready: POST")
    numbers = httpx.get(f"http://127.0.0.1:{run.port}/metrics", trust_env=False)
    assert numbers.status_code == httpx.codes.UNAUTHORIZED
    (tunnel,) = [process for process in run.started() if "1000" in process.cmdline()]
    assert run.end() == 0
    assert psutil.wait_procs([tunnel], timeout=END_SECONDS)[1] == []


def test_no_tunnel_is_opened_where_anybody_could_sign(up: Callable[..., Up], tmp_path: Path) -> None:
    fake = tmp_path / "cloudflared"
    fake.write_text(FAKE_TUNNEL, encoding="utf-8")
    fake.chmod(0o755)
    run = up("--tunnel", PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    run.until("--tunnel: set WHATSAPP_APP_SECRET to that of your app")
    assert run.process.wait(END_SECONDS) == 1


def test_without_a_tunnel_program_the_start_says_which_would_do(
    up: Callable[..., Up], tmp_path: Path
) -> None:
    run = up("--tunnel", PATH=str(tmp_path))
    assert "cloudflared" in run.until("--tunnel: none of cloudflared, ngrok, ssh is installed")
    assert run.process.wait(END_SECONDS) == 1


def test_a_procfile_runner_that_is_ended_leaves_no_process(services: Services, database_url: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in GIVEN} | {
        "NEVERDROP_ENV": "development",
        "REDIS_URL": services.redis_url,
        "DATABASE_URL": database_url,
        "HANDLERS": "app.handlers.echo",
        "FLOWER_PORT": str(free_port()),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    port = free_port()
    processes = [name for name in procfile() if name != "release"]
    with subprocess.Popen(
        [sys.executable, "-m", "honcho", "-f", str(ROOT / "Procfile"), "start", "-p", str(port), *processes],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as honcho:
        runner = psutil.Process(honcho.pid)
        deadline = time.monotonic() + READY_SECONDS
        while not (_is_ready(port) and len(runner.children(recursive=True)) >= len(processes)):
            assert time.monotonic() < deadline, "the processes did not come up"
            time.sleep(0.1)
        started = runner.children(recursive=True)
        honcho.send_signal(signal.SIGTERM)
        honcho.wait(END_SECONDS)
        left = psutil.wait_procs(started, timeout=END_SECONDS)[1]
        for process in left:
            process.kill()
        assert left == []


def _is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success
    except httpx.HTTPError:
        return False
