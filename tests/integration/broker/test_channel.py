"""kombu's Redis channel, used as Celery's consumer uses it, on a Valkey that goes away and comes back."""

import logging
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import kombu.transport
import pytest
from kombu import Connection, Consumer, Exchange, Message, Queue
from redis import Redis

from app.broker.channel import Transport
from app.dev.processes.children import Records, end
from app.dev.stack.embedded import free_port, launch, valkey
from config.redis_endpoint import RedisEndpoint
from tests.helpers import services as servers

IDLE_SECONDS = 0.05
WORK = Queue("work", Exchange(""), routing_key="work")
COMMANDS = Queue("commands", Exchange("commands", "fanout"), auto_delete=True)  # as remote control has it

log = logging.getLogger(__name__)


class Broker:
    """A Valkey that can be lost and found again, with the same address and data."""

    def __init__(self, path: Path, port: int | None) -> None:
        self._path = path
        self._records = Records.of_this_process(path)
        self._server = valkey(path / "valkey", servers.PASSWORD, port=port)
        self.url = self._server.url
        self.start()

    def start(self) -> None:
        self._running = launch(self._server, self._records, self._path)

    def kill(self) -> None:
        self._running.process.kill()
        self._running.process.wait()

    def end(self) -> None:
        end([self._running])


@pytest.fixture(params=["port", "socket"])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    with servers.directory() as path:
        started = Broker(path, free_port() if request.param == "port" else None)
        yield started
        started.end()


@pytest.fixture
def connection(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setitem(kombu.transport._transport_cache, "redis", Transport)  # whatever was used before
    with Connection(RedisEndpoint.parse(broker.url).broker_url) as opened:
        yield opened


def received(connection: Connection) -> Message:
    """A message that was given out and not acknowledged, while the next is waited for."""
    found: list[Message] = []
    channel: Any = connection.default_channel
    channel.basic_qos(0, 2, False)
    consumer = Consumer(channel, [WORK], on_message=found.append)
    Consumer(connection.channel(), [COMMANDS], on_message=found.append).consume()
    connection.Producer(channel).publish({}, routing_key=WORK.name, declare=[WORK])
    consumer.consume()
    while not found or not channel._in_poll:  # the BRPOP under way
        with suppress(TimeoutError):
            connection.drain_events(timeout=IDLE_SECONDS)
    return found[0]


def test_a_lost_connection_is_closed_twice_and_its_message_acknowledged_with_no_error_but_its_loss(
    broker: Broker, connection: Connection
) -> None:
    message = received(connection)
    broker.kill()
    connection.collect()
    connection.close()
    message.ack_log_error(log, connection.connection_errors)
    assert not message.acknowledged


def test_a_message_is_acknowledged_through_a_client_that_was_made_before_redis_was_away(
    broker: Broker, connection: Connection
) -> None:
    message = received(connection)
    broker.kill()
    broker.start()
    with Redis.from_url(broker.url) as client:
        assert client.exists("unacked")
        message.ack()
        assert not client.exists("unacked")


def test_a_channel_keeps_its_client_as_long_as_its_pool(connection: Connection) -> None:
    channel: Any = connection.default_channel
    with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
        assert first is second
    channel._disconnect_pools()  # as a fork and a close do
    with channel.conn_or_acquire() as fresh:
        assert fresh is not first
        assert fresh.connection_pool is channel.pool
        assert fresh.ping()
