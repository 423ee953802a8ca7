"""Measure the backlog as far as the stores answer, within a bounded time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.watch import backlog
from app.watch.backlog import Backlog, PostgresBacklog, RedisBacklog
from app.watch.conditions import AlertName
from app.watch.probe import Probe

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PartialBacklog:
    """The part of each store, or the error that kept it away."""

    postgres: PostgresBacklog | Exception
    redis: RedisBacklog | Exception

    @property
    def stored(self) -> PostgresBacklog | None:
        return None if isinstance(self.postgres, Exception) else self.postgres

    @property
    def transport(self) -> RedisBacklog | None:
        return None if isinstance(self.redis, Exception) else self.redis

    @property
    def complete(self) -> Backlog | None:
        """Both parts; None while one is not known."""
        if self.stored is None or self.transport is None:
            return None
        return Backlog(self.stored, self.transport)

    @property
    def errors(self) -> dict[str, Exception]:
        """Why a store's part is not known, by the store's name."""
        parts = {"postgres": self.postgres, "redis": self.redis}
        return {store: part for store, part in parts.items() if isinstance(part, Exception)}

    @property
    def workers(self) -> Mapping[str, frozenset[str]] | None:
        """The workers alive; None where nobody knows: no heartbeat is written while Redis takes no writes."""
        if self.transport is None or AlertName.REDIS_DOWN in self.raised:
            return None
        return self.transport.workers

    @property
    def raised(self) -> frozenset[str]:
        """Names of the alerts that are raised, as far as it is known."""
        return frozenset().union(*(part.raised for part in (self.stored, self.transport) if part))


class PartialProbe:
    """For one process: a store that hangs costs it one thread and one connection, however often it is asked."""

    def __init__(self) -> None:
        self._postgres: Probe[PostgresBacklog] = Probe()
        self._redis: Probe[RedisBacklog] = Probe()

    def ask(self, engine: Engine, redis: "Redis", window_seconds: float, seconds: float) -> PartialBacklog:
        """Measure both stores, each within ``seconds``; growth is over ``window_seconds``."""
        # First Redis, which is quick; asked one after the other, they take twice ``seconds`` at most
        transport = _answer(self._redis, seconds, lambda: backlog.transport(redis))
        stored = _answer(self._postgres, seconds, lambda: backlog.stored(engine, window_seconds))
        return PartialBacklog(stored, transport)


def _answer(probe: Probe[T], seconds: float, question: Callable[[], T]) -> T | Exception:
    try:
        return probe.ask(question, seconds)
    except (SQLAlchemyError, RedisError, TimeoutError) as error:
        return error
