"""kombu's Redis channel, mended: a worker outlives the loss of Redis also while it runs a task.

Celery closes a lost connection twice, and a task that ran meanwhile is acknowledged after that. If the first close
broke off, both ask the channel for connections to an address that it no longer has, and kombu's AttributeError,
which nobody expects, ends the worker. Said as the lost connection that it is, it is handled: what is not
acknowledged here is given out again, and does no harm.

A channel also keeps its Redis client: kombu builds a new one for every command.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

SCHEMES = ("redis", "rediss")


class Channel(redis.Channel):
    """Knows that its connection may be gone, and keeps its client as long as the pool that it is of."""

    _kept: "Redis | None" = None

    def _get_pool(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the channel's connection was dropped")
        return super()._get_pool(asynchronous)  # type: ignore[misc]  # the stubs know no private methods

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[misc]
        pool = self.pool  # a new one after each close and each fork
        if self._kept is None or self._kept.connection_pool is not pool:
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept


class Transport(redis.Transport):
    """The Redis transport with these channels."""

    Channel = Channel


def install() -> None:
    """For every URL of Redis that this process has not used with kombu yet."""
    for scheme in SCHEMES:
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
