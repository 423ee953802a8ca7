"""A real worker beats, through a lost connection too, and says goodbye."""

import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.stores import connections
from app.stores.redis_keys import WORKERS
from app.watch.heartbeats import alive
from config.settings import Settings
from tests.helpers.waiting import until

END_SECONDS = 60
HERE = Path(__file__).parents[3]


@pytest.fixture
def redis(settings: Settings) -> "Redis":
    return connections.redis()


@pytest.fixture
def worker(redis: "Redis", tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """An ingest worker, with prefork and without task events, as the pipeline runs it."""
    command = [
        sys.executable, "-m", "celery", "-A", "tasks", "worker",
        "-Q", "webhooks,maintenance", "-n", "ingest@here", "-c", "1", "--without-gossip", "--without-mingle",
    ]  # fmt: skip
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=HERE, env=os.environ, stderr=log, stdout=log)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def test_a_worker_beats_again_after_a_lost_connection_and_is_gone_after_its_end(
    redis: "Redis", worker: "subprocess.Popen[bytes]"
) -> None:
    until(lambda: alive(redis) == {"ingest@here": frozenset({"webhooks", "maintenance"})})
    redis.client_kill_filter(_type="normal", skipme=True)
    redis.delete(WORKERS)
    until(lambda: "ingest@here" in alive(redis))
    worker.send_signal(signal.SIGTERM)
    until(lambda: alive(redis) == {})
    assert worker.wait(END_SECONDS) == 0


def test_a_killed_worker_is_given_up_by_its_age(redis: "Redis", worker: "subprocess.Popen[bytes]") -> None:
    until(lambda: "ingest@here" in alive(redis))
    worker.kill()
    worker.wait()
    until(lambda: alive(redis, within_seconds=0.5) == {})


def test_a_queue_that_a_person_cancelled_is_no_longer_named(
    redis: "Redis", worker: "subprocess.Popen[bytes]"
) -> None:
    until(lambda: "ingest@here" in alive(redis))
    control = importlib.import_module("tasks").app.control
    # It beats before it listens for such messages, and what nobody listens for is lost
    until(lambda: control.cancel_consumer("webhooks", destination=["ingest@here"], reply=True))
    until(lambda: alive(redis) == {"ingest@here": frozenset({"maintenance"})})
