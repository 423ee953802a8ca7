"""A message that cannot be run goes to quarantine, and the next one is taken."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import kombu.transport
import pytest
from kombu import Connection, Consumer, Exchange, Message, Queue
from redis import Redis

from app.broker import channel as channel_module
from app.broker.channel import Transport
from app.broker.envelope import advance_message
from app.stores.redis_keys import QUARANTINE, QUARANTINE_COUNTS
from config.celery import ADVANCE, CONVERSATIONS
from tests.helpers.waiting import until

IDLE_SECONDS = 0.05
LANES = Queue(CONVERSATIONS, Exchange(""), routing_key=CONVERSATIONS)
Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> bytes:
    """A good message with one thing wrong."""
    message = json.loads(advance_message(7))
    change(message)
    return json.dumps(message).encode()


JUNK = [b"", b"\xff\xfe\x00", b"nothing", b"[]", b"null", b"7", b"{}", b"[" * 100_000]
CHANGES: list[Change] = [
    lambda message: message.update({"content-type": "application/data"}),
    lambda message: message.update({"content-type": "auth"}),
    lambda message: message.update({"content-encoding": "binary"}),
    lambda message: message.update(body=7),
    lambda message: message.update(body="abcde"),
    lambda message: message.update(headers=None),
    lambda message: message["headers"].update(task="unknown"),
    lambda message: message["headers"].update(task=["list"]),
    lambda message: message["headers"].update(id=None),
    lambda message: message["headers"].update(timelimit="x"),
    lambda message: message["headers"].update(timelimit=["x", None]),
    lambda message: message["headers"].update(eta="9999-01-01T00:00:00"),
    lambda message: message["headers"].update(expires={"a": 1}),
    lambda message: message["headers"].update(compression="bzip2"),
    lambda message: message["headers"].update(retries="many"),
    lambda message: message["properties"].update(delivery_tag={"a": 1}),
    lambda message: message["properties"].update(body_encoding="rot13"),
    lambda message: message["properties"].update(delivery_info=[]),
    lambda message: message["properties"].update(priority=-1),
    lambda message: message.pop("properties"),
]
MALFORMED: list[bytes | Change] = [*JUNK, *CHANGES]


@pytest.fixture
def redis(redis_url: str) -> Iterator["Redis"]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def connection(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setitem(kombu.transport._transport_cache, "redis", Transport)
    monkeypatch.setattr(channel_module, "current_app", SimpleNamespace(tasks={ADVANCE}))
    with Connection(redis_url) as opened:
        yield opened


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("malformed", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_message_is_kept_counted_and_holds_up_nobody(
    redis: "Redis", connection: Connection, malformed: bytes | Change
) -> None:
    received: list[Message] = []
    consumer = Consumer(connection.default_channel, [LANES], on_message=received.append, accept=["json"])
    consumer.consume()
    item = malformed if isinstance(malformed, bytes) else changed(malformed)
    redis.lpush(CONVERSATIONS, item, advance_message(8))

    def good_one_came() -> bool:
        with suppress(TimeoutError):
            connection.drain_events(timeout=IDLE_SECONDS)
        return bool(received)

    until(good_one_came)
    assert received[0].headers["argsrepr"] == "(8,)"
    assert redis.llen(QUARANTINE) == 1
    assert redis.hgetall(QUARANTINE_COUNTS) == {CONVERSATIONS.encode(): b"1"}
    received[0].ack()
    assert not redis.exists("unacked")


@pytest.mark.usefixtures("settings")
def test_a_message_that_celery_chokes_on_does_not_come_again(redis: "Redis", connection: Connection) -> None:
    def choke(_: Message) -> None:
        raise TypeError("a strategy of Celery's")

    Consumer(connection.default_channel, [LANES], on_message=choke, accept=["json"]).consume()
    redis.lpush(CONVERSATIONS, advance_message(7))

    def quarantined() -> bool:
        with suppress(TimeoutError):
            connection.drain_events(timeout=IDLE_SECONDS)
        return bool(redis.llen(QUARANTINE))

    until(quarantined)
    assert not redis.exists("unacked")
