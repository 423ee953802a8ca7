"""Several web processes behind one port: who is missing is replaced, and what cannot work is not tried for ever."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from app.dev.stack import programs as pipeline
from app.dev.stack.embedded import free_port
from tests.helpers.waiting import until

PATIENCE_SECONDS = 40
NOWHERE = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}


@contextmanager
def web(port: int, workers: int, **environment: str) -> "Iterator[subprocess.Popen[str]]":
    program = pipeline.web(port, workers=workers)
    known = {**os.environ, **program.env, **environment}
    process = subprocess.Popen(program.argv, env=known, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_SECONDS)


def alive(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def _serves(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie among them
        return False


def test_a_web_process_that_dies_is_replaced() -> None:
    port = free_port()
    with web(port, 2, NEVERDROP_ENV="development", **NOWHERE) as process:
        until(lambda: alive(port))

        def servers() -> set[int]:
            return {child.pid for child in psutil.Process(process.pid).children() if _serves(child)}

        before = servers()
        assert len(before) == 2
        killed = before.pop()
        psutil.Process(killed).kill()
        until(lambda: len(servers()) == 2 and killed not in servers())
        until(lambda: alive(port))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_web_that_cannot_start_says_why_and_ends(workers: int) -> None:
    settings = {"WHATSAPP_APP_SECRET": "", "WHATSAPP_VERIFY_TOKEN": "wanted", **NOWHERE}
    with web(free_port(), workers, NEVERDROP_ENV="production", **settings) as process:
        _, error_output = process.communicate(timeout=PATIENCE_SECONDS)
    assert "neverdrop cannot start:\nWHATSAPP_APP_SECRET: is not set" in error_output
