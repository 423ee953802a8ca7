"""Raise and clear what a process sees: in Postgres, else with a mark in Redis, else by itself.

Of several processes that see the same, one sends. Postgres decides which by a conditional update, Redis by a key that
only one can set. Without both each process sends by itself, an alert at most once in REPEAT_SECONDS. What was sent
without Postgres is written there, unsent again, as soon as it answers.
"""

import time
from collections.abc import Callable, Sequence

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.watch import alert_marks
from app.watch.alert_states import clear_unseen, raise_seen
from app.watch.conditions import Action, AlertChange, AlertName
from app.watch.notifications import deliver, log_change, post
from app.watch.observation import Observation, PostgresView, RedisView
from app.watch.probe import Probe
from config.settings import Settings

KEEP_SECONDS = 5.0  # that Postgres may take
DELIVER_SECONDS = 30.0  # that Postgres and the webhook may take
REPEAT_SECONDS = 300.0


class AlertBoard:
    """For one thread."""

    def __init__(
        self, engine: Engine, redis: "Redis", settings: Settings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._settings = settings
        self._clock = clock
        self._probe: Probe[list[AlertChange]] = Probe()
        self._delivery: Probe[None] = Probe()
        self._kept: frozenset[str] = frozenset()  # raised in Postgres when it last answered
        self._alone: dict[AlertName, AlertChange] = {}  # raised here while Postgres was away
        self._sent: set[AlertName] = set()  # of them: those that this process logged and sent
        self._unsent: dict[AlertName, AlertChange] = {}  # what the webhook has not taken
        self._sent_at: dict[AlertName, float] = {}

    def publish(self, seen: Observation, changes: Sequence[AlertChange]) -> None:
        """Raise and clear: ``changes`` are all alerts that are raised here now, and all that are over here."""
        redis_answers = isinstance(seen.redis, RedisView)
        if isinstance(seen.postgres, PostgresView) and not seen.postgres.read_only:
            try:
                self._publish_in_postgres(seen.postgres, changes, redis_answers)
            except (SQLAlchemyError, TimeoutError):
                pass  # it went away just now
            else:
                return
        self._publish_alone(changes, redis_answers)

    def _publish_in_postgres(
        self, view: PostgresView, changes: Sequence[AlertChange], redis_answers: bool
    ) -> None:
        alone, unsent = dict(self._alone), set(self._unsent)
        ours = self._probe.ask(lambda: self._keep(view, changes, alone, unsent), KEEP_SECONDS)
        for change in ours:
            if change.name not in alone:
                log_change(change)
        if redis_answers:
            for name in alone:
                self._unmark(name)
        self._alone.clear()
        self._sent.clear()
        self._unsent.clear()
        raised = {change.name.value for change in ours if change.action is Action.RAISE}
        self._kept = (view.raised - {change.name.value for change in ours}) | raised
        if ours or view.unsent:
            self._deliver()

    def _deliver(self) -> None:
        try:
            self._delivery.ask(lambda: deliver(self._engine, self._settings), DELIVER_SECONDS)
        except (SQLAlchemyError, TimeoutError):
            return  # the next look sees that something is unsent

    def _keep(
        self,
        view: PostgresView,
        changes: Sequence[AlertChange],
        alone: dict[AlertName, AlertChange],
        unsent: set[AlertName],
    ) -> list[AlertChange]:
        """Write changes in one transaction; return those that were ours."""
        now = {change.name: change for change in changes} | alone
        ours = []
        with self._engine.begin() as connection:
            # In the order of their names, so that two processes never wait for each other
            for name, change in sorted(now.items()):
                if change.action is Action.RAISE:
                    sent = name in alone and name not in unsent
                    if raise_seen(connection, change, sent):
                        ours.append(change)
                elif name in view.raised and clear_unseen(connection, change):
                    ours.append(change)
        return ours

    def _publish_alone(self, changes: Sequence[AlertChange], redis_answers: bool) -> None:
        for change in changes:
            if change.action is Action.RAISE:
                first = self._mark(change) if redis_answers else True
                if change.name not in self._alone:
                    self._alone[change.name] = change
                    if first and change.name not in self._kept and self._may_send(change.name):
                        self._sent.add(change.name)
                        self._send(change)
            elif self._alone.pop(change.name, None):
                if redis_answers:
                    self._unmark(change.name)
                if change.name in self._sent:
                    self._sent.discard(change.name)
                    self._send(change)
        for change in list(self._unsent.values()):
            self._post(change)

    def _may_send(self, name: AlertName) -> bool:
        """Whether it is long enough since the alert was last sent: one that comes and goes is not sent each time."""
        now = self._clock()
        if now - self._sent_at.get(name, float("-inf")) < REPEAT_SECONDS:
            return False
        self._sent_at[name] = now
        return True

    def _send(self, change: AlertChange) -> None:
        log_change(change)
        if self._settings.alert_webhook_url:
            self._unsent[change.name] = change

    def _post(self, change: AlertChange) -> None:
        if post(self._settings.alert_webhook_url, change, None):
            del self._unsent[change.name]

    def _mark(self, change: AlertChange) -> bool:
        try:
            return alert_marks.mark(self._redis, change)
        except RedisError:
            return True

    def _unmark(self, name: AlertName) -> None:
        try:
            alert_marks.unmark(self._redis, name)
        except RedisError:
            return  # it expires
