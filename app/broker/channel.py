"""kombu's Redis channel for a worker that goes on: with a silent Redis, a read-only one, and malformed messages.

Promises:
- A lost connection is reported as one. Celery closes a lost connection twice, and a task that ran meanwhile is
  acknowledged after that. If the first close broke off, both ask the channel for connections to an address that it no
  longer has, and kombu's AttributeError, which nobody expects, ends the worker.
- An acknowledgement that Redis did not take frees its place nevertheless, and makes the worker connect anew. Celery
  logs such an error and goes on, and kombu counts the message as being worked on for ever: with the prefetch of a
  worker used up, it never asks for another. The message is given out again, which does no harm.
- Every command ends within its timeout, so that a connection that swallows what it is sent hangs nobody.
- A refusal by Redis (a standby that only reads, no memory left) is a lost connection, not the worker's end.
- A message that cannot be run is put into quarantine and the next one is taken.

A channel also keeps its Redis client: kombu builds a new one for every command.
What it relies on of kombu and is private stands in ``tests/unit/test_private_api.py``.
"""

import time
from queue import Empty
from typing import Any

from celery import current_app
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry

from app.broker.message_check import check
from app.broker.quarantine import quarantine
from app.stores import Fault, judge
from config.celery import QUEUES

SCHEMES = ("redis", "rediss")
REFUSED_PAUSE_SECONDS = 1.0  # before the worker connects anew to a Redis that refuses
RETRIES = 1  # of a command; the timeout is for each

_UNREACHABLE = (RedisError, OSError)


class QoS(redis.QoS):
    """What was given out and is not acknowledged."""

    channel: Any

    def ack(self, delivery_tag: Any) -> None:
        """BrokenPipeError where Redis did not take it: of all errors the one that makes Celery connect anew."""
        try:
            super().ack(delivery_tag)
        except _UNREACHABLE as error:
            virtual.QoS.ack(self, delivery_tag)
            if self.channel.is_connected:
                raise BrokenPipeError(f"Redis did not take an acknowledgement: {error}") from error
            raise

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        try:
            super().reject(delivery_tag, requeue)
        except _UNREACHABLE:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Enqueue a message again whose worker died. One that is no message would end every worker that tries."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except _UNREACHABLE:
            raise
        except Exception as error:
            with self.channel.conn_or_acquire(client) as redis_client:
                kept = redis_client.hget(self.unacked_key, tag) or b""
                quarantine(self.unacked_key, kept, error)
                self._remove_from_indices(tag).execute()  # type: ignore[attr-defined]  # the stubs lack what is private


class Channel(redis.Channel):
    """See the module."""

    QoS = QoS
    _kept: "Redis | None" = None

    @property
    def is_connected(self) -> bool:
        """Whether its connection has not been closed; whether Redis answers is another question."""
        return not self.closed and self.connection is not None and self.connection.client is not None

    def _get_pool(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise RedisConnectionError("the channel's connection was dropped")
        return super()._get_pool(asynchronous)  # type: ignore[misc]

    def _connparams(self, asynchronous: bool = False) -> Any:
        # redis-py would try ten times, each for as long as the timeout
        return super()._connparams(asynchronous) | {"retry": Retry(NoBackoff(), RETRIES)}  # type: ignore[misc]

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[misc]
        pool = self.pool  # a new one after each close and each fork
        if self._kept is None or self._kept.connection_pool is not pool:
            self._kept = super()._create_client()  # type: ignore[misc]
        return self._kept

    def _brpop_read(self, **options: Any) -> bool:
        """As kombu's, with what the module promises of refusals and malformed messages."""
        try:
            reply = self._brpop_reply(**options)
            if not reply:
                raise Empty
            key, item = reply
            queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)  # type: ignore[attr-defined]
            self._give_out(queue, item)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()  # type: ignore[attr-defined]

    def _brpop_reply(self, **options: Any) -> Any:
        connection = self.client.connection
        try:
            return self.client.parse_response(connection, "BRPOP", **options)
        except ResponseError as error:
            connection.disconnect()
            if judge(error) is not Fault.CONNECTION:
                time.sleep(REFUSED_PAUSE_SECONDS)
            raise RedisConnectionError(f"Redis refuses to give messages out: {error}") from error
        except _UNREACHABLE:
            connection.disconnect()  # the next round connects anew
            raise

    def _give_out(self, queue: str, item: bytes) -> None:
        """1. look at it; 2. note it as given out, and hand it to Celery.

        Dying before 2 loses the message, as kombu always does; a sweep enqueues its work again.
        """
        try:
            message = loads(bytes_to_str(item))
            if queue in QUEUES:
                check(message, current_app.tasks)
        except Exception as error:
            quarantine(queue, item, error)
            return
        try:
            self.connection._deliver(message, queue)
        except _UNREACHABLE:
            raise
        except Exception as error:
            quarantine(queue, item, error)
            self._take_back(message)

    def _deliver_fanout_message(self, message: Any, exchange: str) -> bool:
        """Remote control's: a malformed command is nobody's loss."""
        try:
            return bool(super()._deliver_fanout_message(message, exchange))  # type: ignore[misc]
        except _UNREACHABLE:
            raise
        except Exception as error:
            quarantine(exchange, repr(message), error)
            return True

    def _take_back(self, message: Any) -> None:
        """Of a message that Celery choked on: it is not being worked on, and is not to come again."""
        tag = message["properties"]["delivery_tag"] if isinstance(message, dict) else None
        if isinstance(tag, str) and tag in (self.qos._delivered or ()):
            self.qos.reject(tag)


class Transport(redis.Transport):
    """The Redis transport with these channels."""

    Channel = Channel


def install() -> None:
    """For every URL of Redis that this process has not used with kombu yet."""
    for scheme in SCHEMES:
        TRANSPORT_ALIASES[scheme] = f"{__name__}:{Transport.__name__}"
