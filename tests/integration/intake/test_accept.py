"""A body is accepted only when a store has it, whatever the other one does."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from celery import Celery
from psycopg2.extensions import set_wait_callback
from redis import Redis
from sqlalchemy import select, text

from app.broker import envelope
from app.dev.processes.children import Records, Running, end
from app.dev.stack.embedded import Server, free_port, valkey
from app.intake import fallback_store, primary_store
from app.intake.accept import Intake, Unavailable
from app.stores import connections
from app.stores.delivery_id import accepted_at, accepted_ms
from app.stores.models import Delivery, DeliveryState, StoredIn
from app.stores.redis_checks import UnsafeJournal, findings
from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX
from config.celery import WEBHOOKS, celery_config
from config.settings import settings
from tests.helpers import services as servers
from tests.helpers.loop import Blocking
from tests.helpers.waiting import until

PATIENCE_SECONDS = 20
POSTED = 200
BODIES = [
    b'{"text":"caf\\u00e9"}',
    "{'é': '\U0001f600'}".encode(),
    b"\xff\x00 not UTF-8",
    b"",
    b"x" * 3_000_000,
]


class Valkey:
    """A server of the test's own, so that it may be stopped and killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records = Records(path / "processes")
        self.server: Server = valkey(path / "valkey", servers.PASSWORD, port=free_port())
        self.running: Running = self._launch()
        self.client: Any = Redis.from_url(self.server.url)

    def _launch(self) -> Running:
        return servers.launch(self.server, self._records, self._path)

    def kill(self) -> None:
        self.running.send(signal.SIGKILL)
        end([self.running])

    def start(self) -> None:
        self.running = self._launch()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.running.send(signal.SIGSTOP)
        try:
            yield
        finally:
            self.running.send(signal.SIGCONT)


@pytest.fixture
def own_valkey(env: Callable[..., Any]) -> Iterator[Valkey]:
    with servers.directory() as path:
        own = Valkey(path)
        env(REDIS_URL=own.server.url)
        primary_store._durability_checked.clear()
        try:
            yield own
        finally:
            own.client.close()
            end([own.running])


@pytest.fixture
def bounded(own_valkey: Valkey) -> Iterator[Blocking]:
    """As a web process has it, but that every group tries the primary store."""
    envelope.prepare()
    yield Blocking(
        Intake(primary_store.write, fallback_store.write, clock=count(step=PATIENCE_SECONDS).__next__)
    )
    connections.web_engine().dispose()
    set_wait_callback(None)


@pytest.fixture
def intake(bounded: Blocking, monkeypatch: pytest.MonkeyPatch) -> Blocking:
    """One that waits for a slow disk."""
    monkeypatch.setattr(connections, "WEB_REDIS_TIMEOUT_SECONDS", PATIENCE_SECONDS)
    return bounded


@contextmanager
def postgres_stopped() -> Iterator[None]:
    """The whole server, with the processes that serve open connections."""
    with connections.engine().connect() as connection:
        postmaster = psutil.Process(connection.scalar(text("SELECT pg_backend_pid()"))).parent()
    connections.engine().dispose()
    assert postmaster is not None
    everything = [postmaster, *postmaster.children()]
    for process in everything:
        with suppress(psutil.NoSuchProcess):  # it served a connection that was closed just now
            process.suspend()
    try:
        yield
    finally:
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def journal(own: Valkey) -> dict[str, bytes]:
    return {key.decode(): body for key, body in own.client.hgetall(JOURNAL).items()}


def stored() -> list[Delivery]:
    with connections.engine().connect() as connection:
        return list(connection.execute(select(Delivery.__table__).order_by(Delivery.id)))  # type: ignore[arg-type]


def enqueued() -> list[tuple[str, bytes]]:
    """What Celery gets out of the queue, by its own means."""
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(settings()))
    got = []
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[WEBHOOKS].bind(connection.default_channel)
        while (message := queue.get(no_ack=True, accept=["json"])) is not None:
            (bodies,), _, _ = message.payload
            got += [(delivery_id, body) for delivery_id, body in bodies]
    return got


@pytest.mark.parametrize("body", BODIES)
def test_an_accepted_body_is_in_journal_index_and_queue_byte_for_byte(
    intake: Blocking, own_valkey: Valkey, body: bytes
) -> None:
    intake.accept(body)
    ((delivery_id, kept),) = journal(own_valkey).items()
    assert kept == body
    assert own_valkey.client.zrange(JOURNAL_INDEX, 0, -1, withscores=True) == [
        (delivery_id.encode(), accepted_ms(delivery_id))
    ]
    assert enqueued() == [(delivery_id, body)]
    assert stored() == []


def test_concurrent_bodies_share_writes_and_all_are_stored(intake: Blocking, own_valkey: Valkey) -> None:
    bodies = [b"%d" % number for number in range(POSTED)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(intake.accept, bodies))
    assert sorted(journal(own_valkey).values()) == sorted(bodies)
    assert own_valkey.client.zcard(JOURNAL_INDEX) == POSTED
    assert own_valkey.client.info("commandstats")["cmdstat_eval"]["calls"] < POSTED
    assert own_valkey.client.llen(WEBHOOKS) < POSTED
    assert dict(enqueued()) == journal(own_valkey)


def test_while_redis_is_stopped_postgres_takes_the_body(bounded: Blocking, own_valkey: Valkey) -> None:
    bounded.accept(b"before")  # leaves a connection open
    with own_valkey.stopped():
        bounded.accept(b"\xff during \x00")
        row = stored()[-1]
    assert (row.body, row.stored_in, row.state) == (
        b"\xff during \x00",
        StoredIn.POSTGRES,
        DeliveryState.STORED,
    )
    assert row.accepted_at == accepted_at(row.id)


def test_a_stopped_redis_that_goes_on_is_used_again(bounded: Blocking, own_valkey: Valkey) -> None:
    with own_valkey.stopped():
        bounded.accept(b"during")

    def back() -> bool:
        bounded.accept(b"after")
        return b"after" in journal(own_valkey).values()

    until(back)


def test_while_redis_is_dead_postgres_takes_the_bodies_and_the_journal_is_back_after(
    intake: Blocking, own_valkey: Valkey
) -> None:
    intake.accept(b"before")
    own_valkey.kill()
    for body in (b"1", b"2"):
        intake.accept(body)
    assert [row.body for row in stored()] == [b"1", b"2"]
    own_valkey.start()
    intake.accept(b"after")
    assert sorted(journal(own_valkey).values()) == [b"after", b"before"]


def test_a_web_that_starts_without_redis_uses_the_journal_once_it_is_there(
    intake: Blocking, own_valkey: Valkey
) -> None:
    own_valkey.kill()
    intake.accept(b"before")
    own_valkey.start()
    intake.accept(b"after")
    assert list(journal(own_valkey).values()) == [b"after"]
    assert [row.body for row in stored()] == [b"before"]


def test_when_redis_has_no_room_postgres_takes_the_body(intake: Blocking, own_valkey: Valkey) -> None:
    intake.accept(b"before")
    own_valkey.client.config_set("maxmemory", 1)
    intake.accept(b"during")
    own_valkey.client.config_set("maxmemory", 0)
    intake.accept(b"after")
    assert [row.body for row in stored()] == [b"during"]
    assert sorted(journal(own_valkey).values()) == [b"after", b"before"]


def test_when_redis_is_a_replica_postgres_takes_the_body(intake: Blocking, own_valkey: Valkey) -> None:
    own_valkey.client.replicaof("127.0.0.1", free_port())
    intake.accept(b"body")
    assert [row.body for row in stored()] == [b"body"]


def test_a_write_that_fails_in_the_middle_is_not_taken_for_done(intake: Blocking, own_valkey: Valkey) -> None:
    own_valkey.client.set(WEBHOOKS, "not a list")  # what was written before the LPUSH that fails stays
    intake.accept(b"body")
    (row,) = stored()
    assert journal(own_valkey) == {str(row.id): b"body"}


def test_many_at_once_are_one_statement_in_the_fallback_store(intake: Blocking, own_valkey: Valkey) -> None:
    own_valkey.kill()
    bodies = [b"%d" % number for number in range(POSTED)]
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(intake.accept, bodies))
    assert sorted(row.body or b"" for row in stored()) == sorted(bodies)


def test_a_body_is_not_accepted_while_neither_store_answers(intake: Blocking, own_valkey: Valkey) -> None:
    own_valkey.kill()
    intake.accept(b"before")  # leaves a connection to Postgres open
    with postgres_stopped(), pytest.raises(Unavailable):
        intake.accept(b"body")
    intake.accept(b"after")
    assert {b"before", b"after"} <= {row.body for row in stored()}


def test_a_connection_that_postgres_has_closed_is_replaced(intake: Blocking, own_valkey: Valkey) -> None:
    own_valkey.kill()
    intake.accept(b"before")
    with connections.engine().connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    intake.accept(b"after")
    assert [row.body for row in stored()] == [b"before", b"after"]


def test_a_redis_that_evicts_is_refused_in_production_only(
    own_valkey: Valkey, env: Callable[..., Any]
) -> None:
    own_valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    primary_store.check_durability()
    env(NEVERDROP_ENV="production")
    with pytest.raises(UnsafeJournal, match="noeviction"):
        primary_store.check_durability()


def test_in_production_a_redis_that_evicts_is_never_written_to(
    own_valkey: Valkey, intake: Blocking, env: Callable[..., Any]
) -> None:
    own_valkey.client.config_set("maxmemory-policy", "allkeys-lru")
    env(NEVERDROP_ENV="production")
    intake.accept(b"body")
    assert [row.body for row in stored()] == [b"body"]
    assert journal(own_valkey) == {}


@pytest.mark.parametrize(
    ("option", "value", "name", "fatal"),
    [
        ("appendonly", "no", "journal.not_durable", False),
        ("appendfsync", "everysec", "journal.not_durable", False),
        ("maxmemory-policy", "volatile-ttl", "journal.evicts", True),
    ],
)
def test_what_makes_a_journal_unsafe_is_found(
    own_valkey: Valkey, option: str, value: str, name: str, fatal: bool
) -> None:
    assert findings(own_valkey.client) == []
    own_valkey.client.config_set(option, value)
    assert [(each.name, each.fatal) for each in findings(own_valkey.client)] == [(name, fatal)]


def test_a_redis_that_forbids_config_is_taken_as_right(own_valkey: Valkey) -> None:
    own_valkey.client.acl_setuser(
        "managed", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-config"]
    )
    url = own_valkey.server.url.replace(f":{servers.PASSWORD}@", "managed:any@")
    with Redis.from_url(url) as client:
        assert findings(client) == []
