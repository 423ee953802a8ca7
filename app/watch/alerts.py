"""Alerts: raised and cleared from what the backlog shows, each told once to the log, Sentry and a webhook.

``judge`` decides (pure); a conditional UPDATE makes one of several watches the one that tells; a webhook that
could not be reached is tried again by the next watch. An alert is raised at its threshold and cleared below
CLEAR_AT of it, so that a value that swings around the threshold tells nothing new.

The watch runs in the process that consumes ``maintenance``. While no such process is alive nothing is judged
here: ``/metrics`` still shows no worker for that queue, which a monitor outside must watch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from socket import gethostname
from typing import Any

import httpx
from redis import Redis
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.stores import DATABASE_DOWN
from app.watch import backlog, reporting
from app.watch.backlog import Backlog
from app.watch.probe import Probe
from config.logging import get_logger
from config.settings import Settings

CLEAR_AT = 0.8  # of the threshold
DATABASE_SECONDS = 15.0  # Postgres counts as down when it has not answered by then
WEBHOOK_TIMEOUT_SECONDS = 5.0
NOTIFYING_SECONDS = 60.0  # a watch that died while it notified blocks the others for as long


log = get_logger(__name__)


class Name(StrEnum):
    BACKLOG_SIZE = "backlog_size"
    BACKLOG_GROWTH = "backlog_growth"
    BACKLOG_AGE = "backlog_age"
    DEAD_LETTERS = "dead_letters"
    NO_WORKER = "no_worker"  # none alive that runs lanes
    NO_INGEST = "no_ingest"  # none alive that splits deliveries
    DATABASE_DOWN = "database_down"


class Action(StrEnum):
    RAISE = "raise"
    CLEAR = "clear"
    SUSPECT = "suspect"  # it holds, but not for long enough yet
    TRUST = "trust"  # it holds no more, and was never raised


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that is watched, as it is now."""

    name: Name
    value: float
    threshold: float
    bad: bool
    good: bool  # neither: in between, and everything stays as it was
    text: str
    lasts_seconds: float = 0  # how long it must be bad


@dataclass(frozen=True, slots=True)
class State:
    """Where an alert stood before."""

    raised: bool = False
    suspected_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    action: Action
    name: Name
    text: str
    value: float | None = None
    threshold: float | None = None


def conditions(measured: Backlog, settings: Settings) -> list[Condition]:
    """What is watched; growth is left out while there is nothing to compare with. Pure."""
    growth = measured.growth
    window = settings.alert_growth_window_seconds
    found = [
        _limit(
            Name.BACKLOG_SIZE, measured.size, settings.alert_backlog_size, f"{measured.size:,} are unfinished"
        ),
        _limit(
            Name.BACKLOG_AGE,
            measured.oldest_seconds,
            settings.alert_oldest_seconds,
            f"the oldest unfinished is {measured.oldest_seconds:,.0f} s old",
        ),
        _limit(
            Name.DEAD_LETTERS,
            measured.dead_letters,
            settings.alert_dead_letters,
            f"{measured.dead_letters:,} dead letters wait for a person (neverdrop dead list)",
        ),
        _presence(Name.NO_WORKER, measured.workers, "run conversations", settings),
        _presence(Name.NO_INGEST, measured.ingests, "split deliveries", settings),
    ]
    if growth is not None:
        words = f"the backlog grew by {growth:,} in {window:,.0f} s"
        found.append(_limit(Name.BACKLOG_GROWTH, growth, settings.alert_backlog_growth, words))
    return found


def _limit(name: Name, value: float, threshold: float, words: str) -> Condition:
    return Condition(
        name,
        value=value,
        threshold=threshold,
        bad=value >= threshold,
        good=value < threshold * CLEAR_AT,
        text=f"{words} (threshold {threshold:,g})",
    )


def _presence(name: Name, alive: int, work: str, settings: Settings) -> Condition:
    return Condition(
        name,
        value=alive,
        threshold=1,
        bad=alive == 0,
        good=alive > 0,
        text=f"{alive} workers are alive to {work}",
        lasts_seconds=settings.alert_no_worker_seconds,
    )


def judge(found: Sequence[Condition], states: Mapping[str, State], now: datetime) -> list[Change]:
    """What changes, given how things are and where the alerts stood. Pure."""
    judged = (
        (condition, _action(condition, states.get(condition.name, State()), now)) for condition in found
    )
    return [
        Change(action, condition.name, condition.text, condition.value, condition.threshold)
        for condition, action in judged
        if action is not None
    ]


def _action(condition: Condition, state: State, now: datetime) -> Action | None:
    if state.raised:
        return Action.CLEAR if condition.good else None
    if not condition.bad:
        return Action.TRUST if state.suspected_at is not None else None
    since = state.suspected_at or now
    if now - since >= timedelta(seconds=condition.lasts_seconds):
        return Action.RAISE
    return Action.SUSPECT if state.suspected_at is None else None


# Each changes a row only from the state it expects: of several watches one does, and tells.
APPLY = {
    Action.RAISE: text("""
        INSERT INTO alerts AS known (name, raised, raised_at, value, threshold, text)
        VALUES (:name, true, clock_timestamp(), :value, :threshold, :text)
        ON CONFLICT (name) DO UPDATE SET
          raised = true, raised_at = excluded.raised_at, suspected_at = NULL, notified_at = NULL,
          notify_after = NULL, value = excluded.value, threshold = excluded.threshold, text = excluded.text
        WHERE NOT known.raised
    """),
    Action.CLEAR: text("""
        UPDATE alerts SET
          raised = false, cleared_at = clock_timestamp(), suspected_at = NULL, notified_at = NULL,
          notify_after = NULL, value = :value, threshold = :threshold, text = :text
        WHERE name = :name AND raised
    """),
    Action.SUSPECT: text("""
        INSERT INTO alerts AS known (name, suspected_at) VALUES (:name, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET suspected_at = excluded.suspected_at
        WHERE NOT known.raised AND known.suspected_at IS NULL
    """),
    Action.TRUST: text("UPDATE alerts SET suspected_at = NULL WHERE name = :name AND NOT raised"),
}
STATES = text("SELECT name, raised, suspected_at, clock_timestamp() AS now FROM alerts")
NOW = text("SELECT clock_timestamp()")
TAKE_UNTOLD = text("""
UPDATE alerts SET notify_after = clock_timestamp() + make_interval(secs => :seconds)
WHERE name = (
  SELECT name FROM alerts
  WHERE notified_at IS NULL AND raised_at IS NOT NULL
    AND (notify_after IS NULL OR notify_after < clock_timestamp())
  ORDER BY greatest(raised_at, cleared_at) LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING name, raised, text, value, threshold, greatest(raised_at, cleared_at) AS changed_at
""")
# Not if it changed meanwhile: then there is something new to tell
TOLD = text("""
UPDATE alerts SET notified_at = CASE WHEN :told THEN clock_timestamp() END, notify_after = NULL
WHERE name = :name AND greatest(raised_at, cleared_at) = :changed_at
""")
NOBODY_TO_TELL = text("""
UPDATE alerts SET notified_at = clock_timestamp() WHERE notified_at IS NULL AND raised_at IS NOT NULL
""")


def watch(engine: Engine, redis: "Redis", settings: Settings) -> list[Change]:
    """Measure, remember, judge, tell; returns what was raised or cleared by this call.

    1. measure both stores;
    2. one transaction: a sample, and each change from the state that it expects;
    3. log and report the changes that were ours;
    4. post what the webhook has not taken yet.

    Dying between 2 and 3 costs a log line and a report, not the webhook's message: the next watch makes up
    for 4. Raises RedisError while Redis is away.
    """
    now_in_redis = backlog.transport(redis)
    try:
        changes = _database.ask(lambda: _look(engine, now_in_redis, settings), DATABASE_SECONDS)
    except (SQLAlchemyError, TimeoutError) as error:
        return _database_down(redis, settings, error)
    changes += _database_up(engine, redis)
    for change in changes:
        announce(change)
    deliver(engine, settings)
    return changes


_database: Probe[list[Change]] = Probe()


def _look(engine: Engine, transport: backlog.Transport, settings: Settings) -> list[Change]:
    measured = Backlog(backlog.stored(engine, settings.alert_growth_window_seconds), transport)
    with engine.begin() as connection:
        backlog.sample(connection, measured)
        found = conditions(measured, settings)
        changes = judge(found, _states(connection), connection.execute(NOW).scalar_one())
        # In the order of their names, so that two watches never wait for each other
        applied = [c for c in sorted(changes, key=lambda c: c.name) if apply(connection, c)]
    return [change for change in applied if change.action in (Action.RAISE, Action.CLEAR)]


def _states(connection: Connection) -> dict[str, State]:
    return {row.name: State(row.raised, row.suspected_at) for row in connection.execute(STATES)}


def apply(connection: Connection, change: Change) -> bool:
    """Write a change down; False: another watch was first."""
    parameters = {
        "name": change.name.value,
        "value": change.value,
        "threshold": change.threshold,
        "text": change.text,
    }
    return connection.execute(APPLY[change.action], parameters).rowcount == 1


def announce(change: Change) -> None:
    """To the log and to Sentry."""
    fields = {"alert": change.name.value, "value": change.value, "threshold": change.threshold}
    if change.action is Action.RAISE:
        log.error("alert.raised", **fields, reason=change.text)
    else:
        log.info("alert.cleared", **fields, reason=change.text)
    reporting.alert(change.name, change.text, raised=change.action is Action.RAISE)


def deliver(engine: Engine, settings: Settings) -> None:
    """Post to ALERT_WEBHOOK_URL what it has not taken yet; what it does not take stays for the next watch."""
    if not settings.alert_webhook_url:
        with engine.begin() as connection:
            connection.execute(NOBODY_TO_TELL)
        return
    told = True
    while told and (untold := _take_untold(engine)):
        action = Action.RAISE if untold.raised else Action.CLEAR
        change = Change(action, Name(untold.name), untold.text, untold.value, untold.threshold)
        told = post(settings.alert_webhook_url, change, untold.changed_at)
        with engine.begin() as connection:
            connection.execute(TOLD, {"name": untold.name, "changed_at": untold.changed_at, "told": told})


def _take_untold(engine: Engine) -> Any:
    with engine.begin() as connection:
        return connection.execute(TAKE_UNTOLD, {"seconds": NOTIFYING_SECONDS}).first()


def post(url: str, change: Change, changed_at: datetime | None) -> bool:
    """Whether the webhook took it. ``text`` is what Slack and its like show; the rest is for programs."""
    status = "raised" if change.action is Action.RAISE else "cleared"
    message: dict[str, Any] = {
        "text": f"Neverdrop: {change.name} {status}: {change.text}",
        "alert": change.name.value,
        "status": status,
        "reason": change.text,
        "value": change.value,
        "threshold": change.threshold,
        "at": changed_at.isoformat() if changed_at else None,
        "host": gethostname(),
    }
    try:
        httpx.post(url, json=message, timeout=WEBHOOK_TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not the error's text: it holds the URL, which is a secret
        log.warning("alert.not_delivered", alert=change.name.value, error=type(error).__name__)
        return False
    return True


def _database_down(redis: "Redis", settings: Settings, error: Exception) -> list[Change]:
    """Raise the one alert that Postgres cannot keep; Redis does."""
    change = Change(Action.RAISE, Name.DATABASE_DOWN, f"Postgres cannot be asked: {type(error).__name__}")
    first = bool(redis.hsetnx(DATABASE_DOWN, "since", str(datetime.now().astimezone())))
    if first:
        announce(change)
    if settings.alert_webhook_url and redis.hsetnx(DATABASE_DOWN, "told", 1):
        told = post(settings.alert_webhook_url, change, None)
        if not told:
            redis.hdel(DATABASE_DOWN, "told")
    return [change] if first else []


def _database_up(engine: Engine, redis: "Redis") -> list[Change]:
    """Clear it: from now on Postgres keeps it, as it keeps the others."""
    if not redis.exists(DATABASE_DOWN):
        return []
    raised = Change(Action.RAISE, Name.DATABASE_DOWN, "Postgres could not be asked")
    cleared = Change(Action.CLEAR, Name.DATABASE_DOWN, "Postgres answers again")
    with engine.begin() as connection:
        apply(connection, raised)
        ours = apply(connection, cleared)
    redis.delete(DATABASE_DOWN)
    return [cleared] if ours else []
