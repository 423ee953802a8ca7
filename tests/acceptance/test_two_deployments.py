"""Two deployments, each with a REDIS_PREFIX and a database of its own, on one Redis."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from redis import Redis

from app.stores.connections import redis
from app.watch import heartbeats
from config.celery import CONVERSATIONS, WEBHOOKS
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import message
from tests.conftest import _reset

AUTH = "flower:flower"
SEPARATE = ("REDIS_URL", "DATABASE_URL", "REDIS_PREFIX")  # what leads to one of the two


class Deployment:
    """A pipeline, and how to speak with its stores."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._environment = {name: os.environ[name] for name in SEPARATE}

    @contextmanager
    def entered(self) -> Iterator[Pipeline]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self._environment.items():
                patch.setenv(name, value)
            _reset()
            yield self.pipeline
        _reset()

    def status(self) -> Any:
        """What ``neverdrop status --json`` prints."""
        command = [sys.executable, "-c", "from app.cli import main; main()", "status", "--json"]
        return json.loads(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)


def test_two_deployments_on_one_redis_see_nothing_of_each_other(
    start_pipeline: Callable[..., Pipeline],
) -> None:
    one = Deployment(start_pipeline(REDIS_PREFIX="one"))
    two = Deployment(start_pipeline(REDIS_PREFIX="two", beside=one.pipeline.stack))
    sent = {each: [message() for _ in range(20)] for each in (one, two)}
    for pair in zip(sent[one], sent[two], strict=True):
        for deployment, item in zip((one, two), pair, strict=True):
            deployment.pipeline.accept([item])
    for deployment, other in ((one, two), (two, one)):
        with deployment.entered() as pipeline:
            pipeline.wait_until_done(sent[deployment])
            assert pipeline.states(sent[other]) == {}
            assert len(heartbeats.alive(redis())) == 2
            assert deployment.status()["workers"].keys() == heartbeats.alive(redis()).keys()
            assert pipeline.stack.get("/readyz").status_code == 200

    with two.entered() as pipeline:
        pipeline.stack.stop("worker1")
        waiting = [message() for _ in range(3)]
        pipeline.accept(waiting)
        pipeline.stack.wait_until(lambda: redis().llen(CONVERSATIONS) == 3)
        assert shown_by_flower(pipeline)[CONVERSATIONS] == 3
    with one.entered() as pipeline:
        assert redis().llen(CONVERSATIONS) == 0
    with Redis.from_url(one.pipeline.stack.redis_url) as client:
        keys: Any = client.keys("*")
        assert {key.partition(b"/")[0] for key in keys} == {b"one", b"two"}


def shown_by_flower(pipeline: Pipeline) -> dict[str, int]:
    url = pipeline.stack.start_flower(AUTH)
    user, password = AUTH.split(":")
    answer = httpx.get(f"{url}/api/queues/length", auth=(user, password), timeout=30, trust_env=False)
    lengths = {queue["name"]: queue["messages"] for queue in answer.json()["active_queues"]}
    assert lengths[WEBHOOKS] == 0
    return lengths
