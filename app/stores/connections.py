"""Postgres and Redis, opened once a process and never carried over a fork.

The web and everybody else need opposite clients. The web must answer Meta in milliseconds, so each of its calls is
bounded and none is retried here. The others would rather wait a few seconds than fail. Nobody waits without an
end: a socket whose peer vanished is closed by TCP, and one whose peer is silent by the timeouts below. (Celery's own
connections, which fetch the messages, are in ``config.celery`` and ``app.broker.channel``.)
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import psycopg2
from psycopg2 import extensions
from redis import Redis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.exceptions import ReadOnlyError
from redis.retry import Retry
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError

from app.stores import postgres_wait
from app.stores.faults import Fault, judge
from app.stores.guarded_connection import GuardedConnection, GuardedCursor
from app.stores.host_addresses import addresses_of
from app.stores.prefixed_redis import PrefixedRedis
from app.stores.session_options import (
    CONNECT_TIMEOUT_SECONDS,
    PLANNED_ONCE,
    connect_args,
    driver_url,
    milliseconds,
)
from config.settings import settings

WEB_REDIS_TIMEOUT_SECONDS = 0.25  # that a request may wait for Redis
WORKER_REDIS_RETRIES = 3
WEB_STATEMENT_SECONDS = 5  # more than the web waits: this ends what it has given up
LOCK_TIMEOUT_SECONDS = 10
# After its last statement a session may do nothing for as long as a handler may run, and so much longer
IDLE_MARGIN_SECONDS = 30
ANSWER_MARGIN_SECONDS = 5  # Postgres ends a statement itself; it is waited for so much longer
HANDLER_MARGIN_SECONDS = (
    2  # a statement of a handler is ended by the handler's own limit first, where it can be
)

T = TypeVar("T")


@cache
def engine() -> Engine:
    """The process's pool of Postgres connections.

    Its commits wait for Postgres's disk, whatever the database's default: once the tables have a delivery, it is
    removed from the journal.
    """
    timeout = settings().database_timeout_seconds
    return _engine(
        postgres_wait.bounded(extensions.connection, timeout + ANSWER_MARGIN_SECONDS),
        pool_pre_ping=True,
        synchronous_commit="on",
        statement_timeout=milliseconds(timeout),
        lock_timeout=milliseconds(min(LOCK_TIMEOUT_SECONDS, timeout)),
        idle_in_transaction_session_timeout=milliseconds(timeout + IDLE_MARGIN_SECONDS),
    )


@cache
def lane_engine() -> Engine:
    """Connections for lanes: a commit does not wait for Postgres's disk.

    On the surface this might seem wrong in a program that promises to lose nothing. But a lane's transaction keeps
    a handler's effects and the event's being ``done`` together: a crash of Postgres in the next half second loses
    both or neither, never one of them, and an event that is not done runs again. What is bought is most of the
    time of a quick handler, which would otherwise wait for a disk once for each event. What is paid: effects outside
    the database (a call to another service) may then happen twice, as after any crash of a worker.

    Whether a connection died while it lay in the pool is not asked at each use, which would be a round trip: see
    ``retry_on_stale_connection``.
    """
    limit = settings().handler_time_limit_seconds
    wait_seconds = settings().database_timeout_seconds + ANSWER_MARGIN_SECONDS
    kind = postgres_wait.bounded(GuardedConnection, wait_seconds)
    kind.max_handler_wait_seconds = limit + HANDLER_MARGIN_SECONDS + ANSWER_MARGIN_SECONDS
    return _engine(
        kind,
        pool_pre_ping=False,
        synchronous_commit="off",
        statement_timeout=milliseconds(limit + HANDLER_MARGIN_SECONDS),
        idle_in_transaction_session_timeout=milliseconds(limit + IDLE_MARGIN_SECONDS),
        cursor_factory=GuardedCursor,
    )


@cache
def sender_engine() -> Engine:
    """Connections for the sender of replies: on disk as ``engine``, without the round trips that it does not need.

    A dead connection is found when it is used: the sender runs again, and what it could not record is recorded first.
    Plans go by the index, since an outbox is often empty when its plan is made, and full a moment later.
    """
    timeout = settings().database_timeout_seconds
    return _engine(
        postgres_wait.bounded(extensions.connection, timeout + ANSWER_MARGIN_SECONDS),
        pool_pre_ping=False,
        synchronous_commit="on",
        statement_timeout=milliseconds(timeout),
        lock_timeout=milliseconds(min(LOCK_TIMEOUT_SECONDS, timeout)),
        idle_in_transaction_session_timeout=milliseconds(timeout + IDLE_MARGIN_SECONDS),
        enable_seqscan="off",
    )


def _engine(
    kind: type[extensions.connection],
    *,
    pool_pre_ping: bool,
    cursor_factory: type[extensions.cursor] = extensions.cursor,
    **session: str,
) -> Engine:
    url = settings().database_url
    made = create_engine(
        driver_url(url),
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=pool_pre_ping,
        connect_args={
            **connect_args("neverdrop", url, **session, **PLANNED_ONCE),
            "connection_factory": kind,
            "cursor_factory": cursor_factory,
        },
    )
    return _listened_to(made)


def _listened_to(made: Engine) -> Engine:
    event.listen(made, "handle_error", _throw_away)
    event.listen(made, "do_connect", _connect_to_one)
    return made


def _connect_to_one(dialect: Any, _record: Any, arguments: Sequence[Any], options: dict[str, Any]) -> Any:
    """Try the hosts of DATABASE_URL one after the other, each for CONNECT_TIMEOUT_SECONDS, shared by its addresses.

    libpq does so itself, but not where it is waited for in a callback. A thread with a deadline tries each in time.
    """
    hosts, ports = (str(options.get(name, "")).split(",") for name in ("host", "port"))
    failure: psycopg2.OperationalError | None = None
    for number, host in enumerate(hosts):
        port = ports[number if len(ports) > 1 else 0]
        one = options | ({"host": host} if host else {}) | ({"port": port} if port else {})
        seconds = postgres_wait.share(CONNECT_TIMEOUT_SECONDS, len(hosts) - number)
        with postgres_wait.until(time.monotonic() + seconds):
            addresses = [{}] if "hostaddr" in options else addresses_of(host)
            for place, address in enumerate(addresses):
                turn = postgres_wait.share(seconds, len(addresses) - place)
                try:
                    with postgres_wait.until(time.monotonic() + turn):
                        return dialect.connect(*arguments, **one, **address)
                except psycopg2.OperationalError as error:
                    failure = error
    assert failure is not None  # noqa: S101  (there is a host, if an empty one)
    raise failure


def _throw_away(context: ExceptionContext) -> None:
    """A connection that can do no more leaves the pool, and with it those that were opened before it.

    SQLAlchemy sees a closed socket by itself, but not a server that has become a read-only standby.
    """
    if context.original_exception and judge(context.original_exception) is Fault.CONNECTION:
        context.is_disconnect = True


def retry_on_stale_connection(call: Callable[[], T]) -> T:
    """Call it, and once more if it met a connection that was of no more use; that has emptied the pool."""
    try:
        return call()
    except DBAPIError as error:
        if judge(error) is not Fault.CONNECTION:
            raise
        return call()


@cache
def redis() -> "Redis":
    """The client of ingest, workers, beat and the command line: patient."""
    endpoint = settings().redis
    return PrefixedRedis.of(
        settings().key_prefix,
        endpoint.url,
        **endpoint.ssl,
        socket_timeout=settings().redis_timeout_seconds,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        **endpoint.keepalive,
        retry=Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), WORKER_REDIS_RETRIES),
        retry_on_error=[ReadOnlyError],  # by a new connection: its name may lead to the new primary now
    )


@cache
def web_redis() -> "Redis":
    """The client of the web: each call takes at most WEB_REDIS_TIMEOUT_SECONDS, or fails."""
    endpoint = settings().redis
    return PrefixedRedis.of(
        settings().key_prefix,
        endpoint.url,
        **endpoint.ssl,
        socket_timeout=WEB_REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=WEB_REDIS_TIMEOUT_SECONDS,
        **endpoint.keepalive,
        retry=Retry(NoBackoff(), 0),
    )


def web_connection() -> Connection:
    """A connection to Redis for the web's event loop, still to be opened; whoever uses it bounds what it does."""
    endpoint = settings().redis
    pool = ConnectionPool.from_url(
        endpoint.url,
        **endpoint.ssl,
        protocol=2,  # nothing is ever pushed to it
        socket_timeout=CONNECT_TIMEOUT_SECONDS,  # of what redis-py itself asks when it opens it
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        **endpoint.keepalive,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return cast(Connection, pool.make_connection())  # type: ignore[no-untyped-call]


@cache
def web_engine() -> Engine:
    """The web's Postgres connections: each statement commits itself, durably."""
    url = settings().database_url
    made = create_engine(
        driver_url(url),
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=4,  # for those who ask whether it answers
        pool_timeout=1,
        connect_args={
            **connect_args(
                "neverdrop-web",
                url,
                synchronous_commit="on",
                statement_timeout=milliseconds(WEB_STATEMENT_SECONDS),
                lock_timeout=milliseconds(WEB_STATEMENT_SECONDS),
                idle_in_transaction_session_timeout=milliseconds(WEB_STATEMENT_SECONDS),
            ),
            "connection_factory": postgres_wait.bounded(
                extensions.connection, WEB_STATEMENT_SECONDS + ANSWER_MARGIN_SECONDS
            ),
        },
    )
    return _listened_to(made)


def reset() -> None:
    """Drop what is open, without closing sockets that a parent process still uses; the next call opens anew."""
    for pool in (engine, lane_engine, sender_engine, web_engine):
        if pool.cache_info().currsize:
            pool().dispose(close=False)
    for opened in (engine, lane_engine, sender_engine, redis, web_redis, web_engine):
        opened.cache_clear()


os.register_at_fork(after_in_child=reset)
