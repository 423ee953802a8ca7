"""Which workers are alive, and what they consume: one zset in Redis.

Celery's own heartbeat is an event, and the ingest process sends no events. So each worker process writes its
name and queues every BEAT_SECONDS, from the timer of its consumer: a worker whose event loop hangs stops
beating. Cannot see whether a worker is slow or does nothing useful.
"""

import contextlib
from typing import Any

from celery import bootsteps
from redis import Redis, RedisError

from app.stores import WORKERS, web_redis

BEAT_SECONDS = 2.0
ALIVE_SECONDS = 10.0  # five beats: a worker that was busy for a moment is not given up
REMOVE_AFTER_SECONDS = 3600  # names of workers that died without a word


class Heartbeats(bootsteps.StartStopStep):
    """Part of Celery's consumer: started with each connection to the broker, stopped when it ends.

    The consumer drops the timers of a lost connection, which is why this is a step and not a signal:
    ``worker_ready`` is sent only once.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer_entry: Any = None
        self._member = ""
        self._consumer = consumer

    def start(self, consumer: Any) -> None:
        self._consumer = consumer
        self._beat()
        self._timer_entry = consumer.timer.call_repeatedly(BEAT_SECONDS, self._beat)

    def stop(self, _consumer: Any) -> None:
        if self._timer_entry is not None:
            self._timer_entry.cancel()
            self._timer_entry = None
            with contextlib.suppress(RedisError):  # then its age ends it
                web_redis().zrem(WORKERS, self._member)

    shutdown = stop

    def _beat(self) -> None:
        """Write name and queues, which a person may have changed: "cancel consumer", "add consumer".

        Bounded by the web's timeouts, since it runs in the event loop; Celery logs an outage.
        """
        before = self._member
        self._member = member(self._consumer.hostname, self._consumer.app.amqp.queues.consume_from)
        with contextlib.suppress(RedisError):
            if before not in ("", self._member):
                web_redis().zrem(WORKERS, before)
            beat(web_redis(), self._member)


def install(celery_app: Any) -> None:
    """Let every worker of this Celery app beat."""
    celery_app.steps["consumer"].add(Heartbeats)


def member(hostname: str, queues: Any) -> str:
    """A worker's name and queues as one member of the zset: ``ingest@host|maintenance,webhooks``."""
    return f"{hostname}|{','.join(sorted(queues))}"


def beat(redis: "Redis", worker: str) -> None:
    """Say that the worker is alive, by Redis's clock: the clocks of machines differ."""
    seconds, _ = redis.time()
    with redis.pipeline(transaction=False) as pipe:
        pipe.zadd(WORKERS, {worker: seconds})
        pipe.zremrangebyscore(WORKERS, "-inf", seconds - REMOVE_AFTER_SECONDS)
        pipe.execute()


def leave(redis: "Redis", worker: str) -> None:
    """Say that the worker ends."""
    redis.zrem(WORKERS, worker)


def alive(redis: "Redis", within_seconds: float = ALIVE_SECONDS) -> dict[str, frozenset[str]]:
    """The workers that beat lately, each with the queues it consumes. Raises RedisError."""
    seconds, microseconds = redis.time()
    now = seconds + microseconds / 1_000_000
    # Not what is dated later: it was written before Redis's clock was set back, and who is alive beats again soon
    names: Any = redis.zrangebyscore(WORKERS, now - within_seconds, now + within_seconds)
    return dict(_worker(name) for name in names)


def _worker(name: bytes | str) -> tuple[str, frozenset[str]]:
    hostname, _, queues = (name.decode() if isinstance(name, bytes) else name).rpartition("|")
    return hostname, frozenset(filter(None, queues.split(",")))
