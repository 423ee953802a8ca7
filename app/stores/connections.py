"""Postgres and Redis, opened once a process and never carried over a fork.

The web and everybody else need opposite clients. The web must answer Meta in milliseconds, so each of its
calls is bounded and none is retried here. The others would rather wait a few seconds than fail. (Celery's own
connections, which fetch the messages, must have no timeout at all: see ``config.celery``.)
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

from redis import Redis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError

from app.stores import postgres_wait
from config.settings import settings

WEB_REDIS_TIMEOUT_SECONDS = 0.25  # that a request may wait for Redis
WORKER_REDIS_TIMEOUT_SECONDS = 5
WORKER_REDIS_RETRIES = 3
CONNECT_TIMEOUT_SECONDS = 5
# A peer that vanished without a word is noticed by TCP after about this long
KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}

PLANNED_ONCE = "-c plan_cache_mode=force_generic_plan"  # what is prepared, see ``prepared``

T = TypeVar("T")


@cache
def engine() -> Engine:
    """The process's pool of Postgres connections."""
    return _engine(pool_pre_ping=True, options=PLANNED_ONCE)


@cache
def lane_engine() -> Engine:
    """Connections for lanes: a commit does not wait for Postgres's disk.

    Their transactions keep effects and ``done`` together, so that a crash of Postgres loses both or neither, and
    what it loses (its last half second) runs again. Whether a connection died while it lay in the pool is not asked
    at each use, which would be a round trip: see ``retry_on_stale_connection``.
    """
    return _engine(pool_pre_ping=False, options=f"-c synchronous_commit=off {PLANNED_ONCE}")


def _engine(*, pool_pre_ping: bool, **connect_args: Any) -> Engine:
    return create_engine(
        settings().database_url,
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=pool_pre_ping,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "application_name": "neverdrop",
            **KEEPALIVE,
            **connect_args,
        },
    )


def retry_on_stale_connection(call: Callable[[], T]) -> T:
    """Call it, and again if it met a connection that had died in the pool; that has emptied the pool."""
    try:
        return call()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return call()


@cache
def redis() -> "Redis":
    """The client of ingest, workers, beat and the command line: patient."""
    endpoint = settings().redis
    return Redis.from_url(
        endpoint.url,
        **endpoint.ssl,
        socket_timeout=WORKER_REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        **endpoint.keepalive,
        retry=Retry(ExponentialWithJitterBackoff(cap=1, base=0.05), WORKER_REDIS_RETRIES),
    )


@cache
def web_redis() -> "Redis":
    """The client of the web: each call takes at most WEB_REDIS_TIMEOUT_SECONDS, or fails."""
    endpoint = settings().redis
    return Redis.from_url(
        endpoint.url,
        **endpoint.ssl,
        socket_timeout=WEB_REDIS_TIMEOUT_SECONDS,
        socket_connect_timeout=WEB_REDIS_TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def web_connection() -> Connection:
    """A connection to Redis for the web's event loop, still to be opened; whoever uses it bounds what it does."""
    endpoint = settings().redis
    pool = ConnectionPool.from_url(
        endpoint.url,
        **endpoint.ssl,
        protocol=2,  # nothing is ever pushed to it
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return cast(Connection, pool.make_connection())  # type: ignore[no-untyped-call]


@cache
def web_engine() -> Engine:
    """The web's Postgres connections: each statement commits itself, and its wait can be given an end."""
    postgres_wait.install()
    return create_engine(
        settings().database_url,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=4,  # for those who ask whether it answers
        pool_timeout=1,
        connect_args={"application_name": "neverdrop-web", **KEEPALIVE},
    )


def reset() -> None:
    """Drop what is open, without closing sockets that a parent process still uses."""
    for pool in (engine, lane_engine, web_engine):
        if pool.cache_info().currsize:
            pool().dispose(close=False)
    for opened in (engine, lane_engine, redis, web_redis, web_engine):
        opened.cache_clear()


os.register_at_fork(after_in_child=reset)
