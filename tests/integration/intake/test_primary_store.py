"""A write to the primary store ends in time, whatever is at the other end of the connection."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from app.broker import envelope
from app.intake import primary_store
from app.intake.primary_store import PrimaryStore
from app.stores import connections, delivery_id
from app.stores.connections import redis
from app.stores.redis_keys import JOURNAL
from config.celery import WEBHOOKS
from tests.helpers import loop

PATIENCE_SECONDS = 20
TRICKLE_SECONDS = 0.02  # between two bytes; far below any timeout of a single read
Answer = Callable[[socket.socket, threading.Event], None]


class Peer:
    """Takes connections, answers what redis-py asks at first, and EVAL as it is told."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._over = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            while (asked := connection.recv(1_000_000)) and not self._over.is_set():
                if b"EVAL" in asked:
                    self._answer(connection, self._over)
                else:
                    connection.sendall(b"+OK\r\n" * asked.count(b"SETINFO"))

    def close(self) -> None:
        self._over.set()
        self._listening.close()


def says_nothing(_: socket.socket, over: threading.Event) -> None:
    over.wait(PATIENCE_SECONDS)


def trickles(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b":")
    while not over.wait(TRICKLE_SECONDS):
        connection.sendall(b"1")


def refuses(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"-MISCONF Errors writing to the AOF file\r\n")


def answers_in_pieces(connection: socket.socket, over: threading.Event) -> None:
    for piece in (b":17900", b"00000123456\r", b"\n"):
        connection.sendall(piece)
        over.wait(TRICKLE_SECONDS)


def breaks_off(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b":179")
    connection.close()


@pytest.fixture
def peer(env: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], Peer]]:
    """Redis's place, taken by somebody who answers EVAL as told."""
    started = []

    def start(answer: Answer) -> Peer:
        started.append(Peer(answer))
        env(REDIS_URL=f"redis://127.0.0.1:{started[-1].port}/0")
        return started[-1]

    checked = threading.Event()
    checked.set()
    monkeypatch.setattr(primary_store, "_durability_checked", checked)
    monkeypatch.setattr(delivery_id, "ids", delivery_id.DeliveryIds())
    envelope.prepare()
    yield start
    for each in started:
        each.close()


@pytest.fixture
def store() -> Iterator[PrimaryStore]:
    created = PrimaryStore()
    yield created
    loop.close(created)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time for an answer that comes, however busy the machine is."""
    monkeypatch.setattr(connections, "WEB_REDIS_TIMEOUT_SECONDS", PATIENCE_SECONDS)


def write(store: PrimaryStore, what: list[tuple[str, bytes]]) -> None:
    loop.run(store.write(what))


def deliveries() -> list[tuple[str, bytes]]:
    return [(id_, b"body") for id_ in delivery_id.ids.take(2)]


@pytest.mark.parametrize("answer", [says_nothing, trickles])
def test_an_answer_that_does_not_end_is_not_waited_for(
    store: PrimaryStore, peer: Callable[[Answer], Peer], answer: Answer
) -> None:
    peer(answer)
    with pytest.raises((RedisTimeoutError, TimeoutError)):
        write(store, deliveries())


def test_a_body_that_is_not_taken_is_not_pressed_on(
    store: PrimaryStore, peer: Callable[[Answer], Peer]
) -> None:
    peer(says_nothing)
    with pytest.raises((RedisTimeoutError, TimeoutError)):
        write(store, [(delivery_id.ids.take(1)[0], b"x" * 50_000_000)])


@pytest.mark.usefixtures("patient")
def test_a_refusal_says_why(store: PrimaryStore, peer: Callable[[Answer], Peer]) -> None:
    peer(refuses)
    with pytest.raises(ResponseError, match="MISCONF"):
        write(store, deliveries())


@pytest.mark.usefixtures("patient")
def test_an_answer_in_pieces_is_an_answer(store: PrimaryStore, peer: Callable[[Answer], Peer]) -> None:
    peer(answers_in_pieces)
    write(store, deliveries())
    assert delivery_id.ids.clock_synced


def test_an_answer_that_breaks_off_is_no_answer(store: PrimaryStore, peer: Callable[[Answer], Peer]) -> None:
    peer(breaks_off)
    with pytest.raises((RedisError, TimeoutError)):
        write(store, deliveries())


def test_a_host_that_takes_no_connection_is_not_waited_for(
    store: PrimaryStore, env: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreachable(Connection):
        async def connect(self) -> None:
            await asyncio.sleep(PATIENCE_SECONDS)

    env()
    monkeypatch.setattr(primary_store, "web_connection", Unreachable)
    with pytest.raises(TimeoutError):
        write(store, deliveries())


@pytest.mark.usefixtures("patient")
def test_all_writes_share_one_connection(store: PrimaryStore, peer: Callable[[Answer], Peer]) -> None:
    other = peer(answers_in_pieces)
    for _ in range(3):
        write(store, deliveries())
    assert other.connections == 1


@pytest.mark.usefixtures("patient")
def test_a_connection_that_redis_has_closed_is_replaced_within_the_write(
    store: PrimaryStore, env: Callable[..., Any]
) -> None:
    env()
    write(store, deliveries())
    redis().client_kill_filter(skipme=True)
    write(store, deliveries())
    assert (redis().hlen(JOURNAL), redis().llen(WEBHOOKS)) == (4, 2)
