"""A body is accepted only when a store has it, whatever the other one does."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import psutil
import pytest
from celery import Celery
from sqlalchemy import text

from app.dev.stack.embedded import free_port
from app.intake.accept import Unavailable
from app.stores import connections
from app.stores.delivery_id import accepted_at, accepted_ms
from app.stores.models import DeliveryState, StoredIn
from app.stores.redis_keys import JOURNAL_INDEX
from config.celery import WEBHOOKS, celery_config
from config.settings import settings
from tests.helpers.loop import Blocking
from tests.helpers.waiting import until
from tests.integration.intake.valkeys import Valkey, journal, stored

POSTED = 200

BODIES = [
    b'{"text":"caf\\u00e9"}',
    "{'é': '\U0001f600'}".encode(),
    b"\xff\x00 not UTF-8",
    b"",
    b"x" * 3_000_000,
]


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
