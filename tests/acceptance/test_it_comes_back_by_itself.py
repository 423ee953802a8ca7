"""After a network has forgotten its connections to Redis, work goes on within a minute, with no restart."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.stores.connections import redis
from app.watch import heartbeats
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import message
from tests.helpers.relay import Relay

PROMISED_SECONDS = 60
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
    return pipeline


def assert_it_goes_on(pipeline: Pipeline) -> None:
    """Web, ingest, worker and beat: a message is accepted, stored and handled, and swept where that is needed."""
    sent = [message() for _ in range(4)]
    pipeline.deliver(sent)
    pipeline.wait_until_done(sent, PROMISED_SECONDS)


def test_work_goes_on_when_every_connection_to_redis_is_forgotten(
    network: Network, forgetful: Pipeline
) -> None:
    assert network.redis.swallow() > 4
    redis().connection_pool.disconnect()  # this process's own
    assert_it_goes_on(forgetful)
    names = {name.partition("@")[0] for name in heartbeats.alive(redis())}
    assert names >= {"ingest1", "worker1"}
