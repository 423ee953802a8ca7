"""Judge alerts in a thread of each web process and each worker's main process, also while both stores are away.

Each of these processes sees the stores by connections of its own, and any of them may be the only one alive: that is
why there is one in each. It needs no message, no beat and no other process. It cannot see what happens to a process
that hangs as a whole, itself included: a monitor outside watches ``/readyz``.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from celery import bootsteps
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from app.stores import engine, web_redis
from app.watch import alerts, releases
from app.watch.alert_board import AlertBoard
from app.watch.conditions import Action, AlertChange, AlertName, AlertState, Condition, judge
from app.watch.observation import Observation, Observer, PostgresView, RecentCount, RedisView, conditions_of
from app.watch.probe import Probe
from config.logging import get_logger
from config.settings import Settings, settings

INTERVAL_SECONDS = 5.0
STALE_SECONDS = 45.0  # a backlog that nobody has measured for as long is measured here
WATCH_SECONDS = 20.0
STOP_SECONDS = 2.0

log = get_logger(__name__)

_raised: set[AlertName] = set()  # by the timer of this process


def raised_here() -> frozenset[str]:
    """Return the names of the alerts that this process sees, whatever the stores say."""
    return frozenset(name.value for name in _raised)


class AlertTimer:
    """Looks every INTERVAL_SECONDS, in a thread that ends with ``stop`` or with its process."""

    def __init__(
        self,
        engine: Engine,
        redis: "Redis",
        settings: Settings,
        recent: Mapping[AlertName, RecentCount] = {},
        clock: Callable[[], float] = time.monotonic,
        kind: str = "",
    ) -> None:
        self._engine, self._redis, self._settings, self._clock = engine, redis, settings, clock
        self._kind = kind  # of a process that is no worker: nobody can ask it for its release
        self._observer = Observer(engine, redis, recent)
        self._board = AlertBoard(engine, redis, settings, clock)
        self._watch_probe: Probe[list[AlertChange]] = Probe()
        self._states: dict[str, AlertState] = {}
        self._began = clock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that is waiting for a store ends with the process."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)
            if self._kind:
                with contextlib.suppress(RedisError):  # then its age ends it
                    releases.leave(self._redis, self._kind)

    def look(self) -> None:
        """Observe, judge, publish; measure the backlog if nobody else does."""
        seen = self._observer.observe()
        conditions = list(conditions_of(seen, self._settings))
        # A date only in form: no wall clock decides how long a condition has lasted
        now = datetime.fromtimestamp(self._clock(), UTC)
        for change in judge(conditions, self._states, now):
            self._states[change.name] = _next_state(change.action, now)
        changes = list(filter(None, map(self._change, conditions)))
        _raised.difference_update(change.name for change in changes if change.action is Action.CLEAR)
        _raised.update(change.name for change in changes if change.action is Action.RAISE)
        self._board.publish(seen, changes)
        self._measure_if_stale(seen)

    def _change(self, condition: Condition) -> AlertChange | None:
        """What is so now, whether or not it was so at the last look: another process may have raised it."""
        if self._states.get(condition.name, AlertState()).raised:
            action = Action.RAISE
        elif condition.over:
            action = Action.CLEAR
        else:
            return None
        return AlertChange(action, condition.name, condition.text, condition.value, condition.threshold)

    def _measure_if_stale(self, seen: Observation) -> None:
        if not isinstance(seen.postgres, PostgresView) or not isinstance(seen.redis, RedisView):
            return
        age = seen.postgres.sample_seconds
        alive = self._clock() - self._began
        if alive >= STALE_SECONDS and not seen.postgres.read_only and (age is None or age >= STALE_SECONDS):
            self._watch_probe.ask(
                lambda: alerts.watch(self._engine, self._redis, self._settings), WATCH_SECONDS
            )

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_SECONDS):
            try:
                self.look()
                if self._kind:
                    releases.say(self._redis, self._kind)
            except (RedisError, TimeoutError):
                continue  # it went away during the look; the next one sees it
            except Exception as error:  # whatever it is, alerts are judged on
                log.exception("alerts.look_failed", error=type(error).__name__)


def _next_state(action: Action, now: datetime) -> AlertState:
    if action is Action.RAISE:
        return AlertState(raised=True)
    return AlertState(pending_since=now if action is Action.MARK_PENDING else None)


def for_process(recent: Mapping[AlertName, RecentCount] = {}, kind: str = "") -> AlertTimer:
    """Return the timer of this process, with the process's own stores; ``kind``: of one that is no worker."""
    return AlertTimer(engine(), web_redis(), settings(), recent, kind=kind)


class AlertTimerStep(bootsteps.StartStopStep):
    """Part of a Celery worker's main process: begun after its pool has forked, ended with it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: AlertTimer | None = None

    def start(self, _parent: Any) -> None:
        self._timer = for_process()
        self._timer.start()

    def stop(self, _parent: Any) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


def install(celery_app: Any) -> None:
    """Let every worker of this Celery app judge alerts."""
    celery_app.steps["worker"].add(AlertTimerStep)
