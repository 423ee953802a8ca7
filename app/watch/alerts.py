"""Watch the backlog: measure, judge, and send which alerts begin and end.

The watch runs in the process that consumes ``maintenance``. While no such process is alive, or beat is gone, the timers
of the others do it instead (``alert_timer``).
"""

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app.stores import database_now
from app.watch import backlog
from app.watch.alert_states import apply, read_states
from app.watch.backlog import Backlog
from app.watch.conditions import Action, AlertChange, conditions, judge
from app.watch.notifications import deliver, log_change
from app.watch.probe import Probe
from config.settings import Settings

DATABASE_SECONDS = 15.0  # Postgres counts as down when it has not answered by then


def watch(engine: Engine, redis: "Redis", settings: Settings) -> list[AlertChange]:
    """Measure, record, judge, notify; return what was raised or cleared by this call.

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
    except (SQLAlchemyError, TimeoutError):
        return []  # the timers of all processes see it, and raise an alert
    for change in changes:
        log_change(change)
    deliver(engine, settings)
    return changes


_database: Probe[list[AlertChange]] = Probe()


def _look(engine: Engine, transport: backlog.RedisBacklog, settings: Settings) -> list[AlertChange]:
    measured = Backlog(backlog.stored(engine, settings.alert_growth_window_seconds), transport)
    with engine.begin() as connection:
        backlog.sample(connection, measured)
        changes = judge(conditions(measured, settings), read_states(connection), database_now(connection))
        # In the order of their names, so that two watches never wait for each other
        applied = [c for c in sorted(changes, key=lambda c: c.name) if apply(connection, c)]
    return [change for change in applied if change.action in (Action.RAISE, Action.CLEAR)]
