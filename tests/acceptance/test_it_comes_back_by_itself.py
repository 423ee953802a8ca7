"""After a network has forgotten its connections to a store, work goes on within a minute, with no restart.

Each pair of process and store, by what shows that the process uses the store again:

| process | Redis | Postgres |
|---|---|---|
| web | a webhook gets its 200 from the journal | with Redis away, a webhook gets its 200; `neverdrop_up` |
| ingest, worker and its pool | messages are done; heartbeats | messages are done |
| beat | its key is renewed | it keeps no connection after its start |
| Flower | the Broker page's numbers, the Pipeline page | the Pipeline page, the dead letters |
| command line | a sentence, though nothing answers | a sentence, though nothing answers |
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from app.stores.connections import engine, redis, web_redis
from app.watch import beat_signal, heartbeats
from config.celery import QUEUES
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import message
from tests.helpers.relay import Relay

PROMISED_SECONDS = 60
FLOWER = ("flower", "flower")
COMMAND = (sys.executable, "-c", "from app.cli import main; main()")
COMMAND_SECONDS = 60  # the bound of the test; the command's own is shorter
# Short waits, so that a test takes seconds; with the defaults (5 s and 30 s) each takes as much longer
SHORT = {
    "REDIS_TIMEOUT_SECONDS": "1",
    "DATABASE_TIMEOUT_SECONDS": "3",
    "HANDLER_TIME_LIMIT_SECONDS": "5",
    "CLAIM_LEASE_SECONDS": "2",
    "SWEEP_GRACE_SECONDS": "1",
}


class Network:
    """Between all processes and both stores."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.relays: list[Relay] = []

    def to(self, path: str) -> Relay:
        self.relays.append(self._stack.enter_context(Relay(path)))
        return self.relays[-1]

    @property
    def redis(self) -> Relay:
        return self.relays[0]

    @property
    def postgres(self) -> Relay:
        return self.relays[1]


@pytest.fixture
def network() -> Iterator[Network]:
    with ExitStack() as stack:
        yield Network(stack)


@pytest.fixture
def forgetful(network: Network, start_pipeline: Callable[..., Pipeline]) -> Pipeline:
    pipeline = start_pipeline(relays=network.to, **SHORT)
    first = [message(), message(), message()]
    pipeline.accept(first)
    pipeline.wait_until_done(first)
    pipeline.stack.start_flower(":".join(FLOWER))
    assert flower(pipeline, "/pipeline/numbers")["unanswered"] == []
    assert metric(pipeline, "neverdrop_up") == {'{store="postgres"} 1.0', '{store="redis"} 1.0'}
    return pipeline


def flower(pipeline: Pipeline, path: str) -> Any:
    """Flower's answer to a user; None if it is an error."""
    url = f"http://127.0.0.1:{pipeline.stack.flower_port}{path}"
    answer = httpx.get(url, auth=FLOWER, timeout=PROMISED_SECONDS, trust_env=False)
    return answer.json() if answer.is_success else None


def metric(pipeline: Pipeline, name: str) -> set[str]:
    lines = pipeline.stack.get("/metrics").text.splitlines()
    return {line.removeprefix(name) for line in lines if line.startswith(name)}


def await_all(pipeline: Pipeline, **conditions: Callable[[], object]) -> None:
    """Each condition, within the promised time of them all."""
    for what, condition in conditions.items():
        pipeline.stack.wait_until(condition, PROMISED_SECONDS, what)


def assert_messages_are_done(pipeline: Pipeline) -> None:
    """A message is accepted, stored and handled, and swept where that is needed."""
    sent = [message() for _ in range(4)]
    pipeline.deliver(sent)
    pipeline.wait_until_done(sent, PROMISED_SECONDS)


def test_work_goes_on_when_every_connection_to_redis_is_forgotten(
    network: Network, forgetful: Pipeline
) -> None:
    assert network.redis.swallow() > 4
    for client in (redis(), web_redis()):
        client.connection_pool.disconnect()  # this process's own
    redis().delete(beat_signal.BEAT)
    assert_messages_are_done(forgetful)

    def consumers_beat() -> bool:
        names = {name.partition("@")[0] for name in heartbeats.alive(redis())}
        return names >= {"ingest1", "worker1"}

    await_all(
        forgetful,
        web=lambda: '{store="redis"} 1.0' in metric(forgetful, "neverdrop_up"),
        consumers=consumers_beat,
        beat=lambda: beat_signal.is_alive(redis()),
        pipeline_page=lambda: flower(forgetful, "/pipeline/numbers")["unanswered"] == [],
        broker_page=lambda: len(flower(forgetful, "/api/queues/length")["active_queues"]) == len(QUEUES),
    )


def test_work_goes_on_when_every_connection_to_postgres_is_forgotten(
    network: Network, forgetful: Pipeline
) -> None:
    assert network.postgres.swallow() > 4
    engine().dispose()  # this process's own
    assert_messages_are_done(forgetful)
    await_all(
        forgetful,
        web=lambda: '{store="postgres"} 1.0' in metric(forgetful, "neverdrop_up"),
        pipeline_page=lambda: flower(forgetful, "/pipeline/numbers")["unanswered"] == [],
        dead_letters=lambda: flower(forgetful, "/dead-letters/table") is not None,
    )
    forgetful.stack.pause("valkey")
    sent = [message()]
    forgetful.deliver(sent)  # into the fallback store
    forgetful.stack.resume("valkey")
    forgetful.wait_until_done(sent, PROMISED_SECONDS)


@pytest.mark.parametrize(
    ("store", "arguments"), [("REDIS_URL", ("quarantine", "list")), ("DATABASE_URL", ("held", "retry", "1"))]
)
def test_a_command_says_that_a_silent_store_does_not_answer(
    store: str, arguments: tuple[str, ...], env: Callable[..., Any], redis_url: str, database_url: str
) -> None:
    target = redis_target(redis_url) if store == "REDIS_URL" else postgres_target(database_url)
    with Relay(target, silent=True) as relay:
        scheme = "redis://" if store == "REDIS_URL" else "postgresql://postgres@"
        env(**SHORT, **{store: f"{scheme}127.0.0.1:{relay.port}/0"})
        command = [*COMMAND, *arguments]
        answer = subprocess.run(command, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert answer.returncode == 1
    assert "answer" in answer.stderr
    assert "Traceback" not in answer.stderr


def redis_target(url: str) -> tuple[str, int]:
    host, _, port = url.rpartition("@")[2].partition("/")[0].partition(":")
    return host, int(port)


def postgres_target(url: str) -> str:
    return url.partition("host=")[2] + "/.s.PGSQL.5432"
