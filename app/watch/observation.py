"""What one process sees of the stores and of itself, and the conditions that follow. Nothing here waits for long."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.stores import QUARANTINE, WRITE_CHECK
from app.watch import beat_signal, unknown_handlers
from app.watch.conditions import AlertName, Condition, limit
from app.watch.probe import Probe
from config.settings import Settings

STORE_SECONDS = 5.0  # a store that has not answered by then is away
DOWN_SECONDS = 10.0  # how long it must be away
UNKNOWN_HANDLER_SECONDS = 60.0  # a deployment may take as long
SIGNATURES_SECONDS = 300.0
FALLBACK_SECONDS = 30.0
WRITE_CHECK_SECONDS = 60

T = TypeVar("T")

LOOK = text("""
SELECT pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS read_only,
  ARRAY(SELECT name FROM alerts WHERE raised) AS raised,
  EXISTS (SELECT FROM alerts WHERE notified_at IS NULL AND raised_at IS NOT NULL) AS unsent,
  (SELECT extract(epoch FROM clock_timestamp() - max(at)) FROM backlog_samples) AS sample_seconds
""")


@dataclass(frozen=True, slots=True)
class PostgresView:
    """What Postgres answered."""

    read_only: bool
    raised: frozenset[str]
    unsent: bool  # a change of an alert has still to reach the webhook
    sample_seconds: float | None  # age of the newest sample of the backlog; None without any


@dataclass(frozen=True, slots=True)
class RedisView:
    """What Redis answered."""

    beat_alive: bool
    unknown_handlers: tuple[str, ...]
    quarantined: int = 0  # messages that could not be run, and that nobody has dropped


@dataclass(frozen=True, slots=True)
class Observation:
    """Both stores, each with its answer or the error; and the recent numbers of this process by alert."""

    postgres: PostgresView | Exception
    redis: RedisView | Exception
    recent: Mapping[AlertName, float]


class RecentCount:
    """How much a counter that only grows has grown within ``seconds``."""

    def __init__(
        self, total: Callable[[], int], seconds: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self._total = total
        self._seconds = seconds
        self._clock = clock
        self._before = total()  # at the begin of the window
        self._totals: deque[tuple[float, int]] = deque()

    def read(self) -> int:
        """Take the counter's total, and return the growth within the window."""
        now, total = self._clock(), self._total()
        while self._totals and self._totals[0][0] <= now - self._seconds:
            _, self._before = self._totals.popleft()
        self._totals.append((now, total))
        return total - self._before


class Observer:
    """Looks at both stores, each in a thread of its own, and at the counters of this process."""

    def __init__(self, engine: Engine, redis: "Redis", recent: Mapping[AlertName, RecentCount]) -> None:
        self._engine = engine
        self._redis = redis
        self._recent = recent
        self._postgres_probe: Probe[PostgresView] = Probe()
        self._redis_probe: Probe[RedisView] = Probe()

    def observe(self) -> Observation:
        """Return what is seen now, within two times STORE_SECONDS."""
        return Observation(
            postgres=_answer(partial(self._postgres_probe.ask, self._look_at_postgres)),
            redis=_answer(partial(self._redis_probe.ask, self._look_at_redis)),
            recent={name: count.read() for name, count in self._recent.items()},
        )

    def _look_at_postgres(self) -> PostgresView:
        with self._engine.connect() as connection:
            row = connection.execute(LOOK).one()
        age = None if row.sample_seconds is None else float(row.sample_seconds)
        return PostgresView(row.read_only, frozenset(row.raised), row.unsent, age)

    def _look_at_redis(self) -> RedisView:
        self._redis.set(
            WRITE_CHECK, 1, ex=WRITE_CHECK_SECONDS
        )  # one that is full answers everything but writes
        return RedisView(
            beat_signal.is_alive(self._redis),
            tuple(unknown_handlers.names(self._redis)),
            self._redis.llen(QUARANTINE),
        )


def _answer(ask: Callable[[float], T]) -> T | Exception:
    try:
        return ask(STORE_SECONDS)
    except (SQLAlchemyError, RedisError, TimeoutError) as error:
        return error


def conditions_of(seen: Observation, settings: Settings) -> Iterable[Condition]:
    """Return what can be judged from an observation; what cannot be known is left out."""
    postgres, redis = seen.postgres, seen.redis
    yield _fault(AlertName.DATABASE_DOWN, "Postgres", postgres)
    yield _fault(AlertName.REDIS_DOWN, "Redis", redis)
    if isinstance(postgres, PostgresView):
        yield _holds(AlertName.READ_ONLY, postgres.read_only, "Postgres takes no writes", DOWN_SECONDS)
    if isinstance(redis, RedisView):
        lasts = settings.alert_no_worker_seconds
        yield _holds(AlertName.NO_BEAT, not redis.beat_alive, "beat publishes nothing", lasts)
        names = ", ".join(redis.unknown_handlers)
        sentence = f"no worker that was asked knows the handlers: {names}"
        yield _holds(AlertName.UNKNOWN_HANDLER, bool(names), sentence, UNKNOWN_HANDLER_SECONDS)
        sentence = f"{redis.quarantined:,} messages could not be run (neverdrop quarantine list)"
        yield limit(AlertName.QUARANTINE, redis.quarantined, 1, sentence)
    sentences = {
        AlertName.SIGNATURES_REFUSED: (
            settings.alert_signatures_refused,
            "{:,} posts refused for their signature",
        ),
        AlertName.FALLBACK_STORE: (1, "{:,} deliveries went to the fallback store (Postgres)"),
    }
    for name, value in seen.recent.items():
        threshold, sentence = sentences[name]
        yield limit(name, value, threshold, sentence.format(value))


def _fault(name: AlertName, store: str, answer: object) -> Condition:
    away = isinstance(answer, Exception)
    sentence = f"{store} cannot be used: {type(answer).__name__}" if away else f"{store} answers"
    return _holds(name, away, sentence, DOWN_SECONDS)


def _holds(name: AlertName, met: bool, sentence: str, lasts_seconds: float) -> Condition:
    return Condition(name, float(met), 1, met, not met, sentence, lasts_seconds)
