"""Watch the backlog: measure, judge, and send which alerts begin and end.

The watch runs in the process that consumes ``maintenance``. While no such process is alive nothing is judged
here: ``/metrics`` still shows no worker for that queue, which a monitor outside must watch.
"""

from datetime import datetime

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.stores import DATABASE_DOWN
from app.watch import backlog
from app.watch.alert_states import apply, now, read_states
from app.watch.backlog import Backlog
from app.watch.conditions import Action, AlertChange, AlertName, conditions, judge
from app.watch.notifications import deliver, log_change, post
from app.watch.probe import Probe
from config.settings import Settings

DATABASE_SECONDS = 15.0  # Postgres counts as down when it has not answered by then


def watch(engine: Engine, redis: "Redis", settings: Settings) -> list[AlertChange]:
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
        log_change(change)
    deliver(engine, settings)
    return changes


_database: Probe[list[AlertChange]] = Probe()


def _look(engine: Engine, transport: backlog.RedisBacklog, settings: Settings) -> list[AlertChange]:
    measured = Backlog(backlog.stored(engine, settings.alert_growth_window_seconds), transport)
    with engine.begin() as connection:
        backlog.sample(connection, measured)
        changes = judge(conditions(measured, settings), read_states(connection), now(connection))
        # In the order of their names, so that two watches never wait for each other
        applied = [c for c in sorted(changes, key=lambda c: c.name) if apply(connection, c)]
    return [change for change in applied if change.action in (Action.RAISE, Action.CLEAR)]


def _database_down(redis: "Redis", settings: Settings, error: Exception) -> list[AlertChange]:
    """Raise the one alert that Postgres cannot keep; Redis does."""
    change = AlertChange(
        Action.RAISE, AlertName.DATABASE_DOWN, f"Postgres cannot be asked: {type(error).__name__}"
    )
    first = bool(redis.hsetnx(DATABASE_DOWN, "since", str(datetime.now().astimezone())))
    if first:
        log_change(change)
    if settings.alert_webhook_url and redis.hsetnx(DATABASE_DOWN, "told", 1):
        sent = post(settings.alert_webhook_url, change, None)
        if not sent:
            redis.hdel(DATABASE_DOWN, "told")
    return [change] if first else []


def _database_up(engine: Engine, redis: "Redis") -> list[AlertChange]:
    """Clear it: from now on Postgres keeps it, as it keeps the others."""
    if not redis.exists(DATABASE_DOWN):
        return []
    raised = AlertChange(Action.RAISE, AlertName.DATABASE_DOWN, "Postgres could not be asked")
    cleared = AlertChange(Action.CLEAR, AlertName.DATABASE_DOWN, "Postgres answers again")
    with engine.begin() as connection:
        apply(connection, raised)
        ours = apply(connection, cleared)
    redis.delete(DATABASE_DOWN)
    return [cleared] if ours else []
