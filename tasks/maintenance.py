"""The tasks that beat schedules on the queue ``maintenance``, and the retry of a dead letter by its message."""

import time
from typing import Any

from celery import Task

from app import dead_letters, outbox
from app.broker import wake, wake_senders
from app.handlers import registry
from app.ingest import give_up, ingest
from app.lanes import pauses, timeouts
from app.recovery import left_members, retention, sweeper
from app.stores import engine, redis
from app.watch import alerts
from config import celery as names
from config.logging import get_logger
from config.settings import settings
from tasks import app

STORED_BUDGET_SECONDS = 20
PURGE_BUDGET_SECONDS = 10  # of each minute: of a pool of two, a twelfth

log = get_logger(__name__)

_ended: dict[str, float] = {}  # task → when it last ended in this process, by its monotonic clock


class ScheduledTask(Task):  # type: ignore[misc,type-arg,unused-ignore]
    """A task of beat's that is skipped when this process ended one of the same name a moment ago.

    Runs that piled up while nobody consumed the queue are so passed over at once. Unlike Celery's ``expires`` this
    compares no clocks of two machines: with beat's clock a few seconds behind, every run would expire unseen.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task, unless half its interval has not passed since the last run's end."""
        name = str(self.name)
        pause = names.SCHEDULE[name] / 2
        if not self.request.called_directly and time.monotonic() - _ended.get(name, float("-inf")) < pause:
            return None
        try:
            return self.run(*args, **kwargs)
        finally:
            _ended[name] = time.monotonic()


@app.task(base=ScheduledTask, name=names.SWEEP_DUE, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def sweep_due() -> None:
    """Wake the lanes whose next attempt is due, whose pause is over, or in which nothing has come of what was expected.

    What is changed is committed before its lane is woken. Dying in between costs time: the sweep of lanes finds it.
    """
    pauses.resume_due(engine(), redis())
    wake(redis(), timeouts.make_jobs(engine()))
    with engine().begin() as connection:
        left_members.free(connection)
        lanes = sweeper.due_lanes(connection)
    wake(redis(), lanes)


@app.task(base=ScheduledTask, name=names.SWEEP_STORED, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def sweep_stored() -> None:
    """Ingest what was stored in the fallback store."""
    stop_at = time.monotonic() + STORED_BUDGET_SECONDS
    while time.monotonic() < stop_at:
        with engine().connect() as connection:
            deliveries = sweeper.stored_deliveries(connection)
        if not deliveries:
            return
        ingest(engine(), redis(), registry, deliveries)


@app.task(base=ScheduledTask, name=names.SWEEP_LOST, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def sweep_lost() -> None:
    """Enqueue again the deliveries and lanes whose messages were lost."""
    grace_seconds = settings().sweep_grace_seconds
    sweeper.sweep_journal(redis(), grace_seconds)
    if exhausted := sweeper.exhausted_deliveries(redis(), grace_seconds):
        give_up(engine(), redis(), registry, exhausted)
    sweeper.sweep_lanes(engine(), redis(), grace_seconds, settings().claim_lease_seconds)


@app.task(base=ScheduledTask, name=names.SWEEP_OUTBOX, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def sweep_outbox() -> None:
    """End sends whose senders died, and wake the senders for what may leave."""
    swept = outbox.sweep(engine(), settings().unknown_send_seconds)
    for send_id in swept.died:
        log.error("reply.dead", send_id=send_id, error="not known whether it was sent")
    if swept.due:
        wake_senders(redis())


@app.task(base=ScheduledTask, name=names.SWEEP_DEAD_LETTERS, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def sweep_dead_letters() -> None:
    """Make the queue of dead letters equal to the table."""
    dead_letters.reconcile(engine(), redis())


@app.task(base=ScheduledTask, name=names.WATCH_BACKLOG, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def watch_backlog() -> None:
    """Measure the backlog, keep a sample, raise and clear alerts."""
    alerts.watch(engine(), redis(), settings())


@app.task(base=ScheduledTask, name=names.PURGE, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def purge() -> None:
    """Delete what was finished RETENTION_DAYS ago."""
    days = settings().retention_days
    if days is not None:
        retention.sweep(engine(), redis(), days, PURGE_BUDGET_SECONDS)


@app.task(name=names.RETRY_DEAD_LETTER, time_limit=names.MAINTENANCE_TIME_LIMIT_SECONDS)
def retry_dead_letter(event_id: int, who: str = "task") -> None:
    """Retry a dead letter by its event's id, as sent from Flower's task API."""
    decided = dead_letters.retry(engine(), redis(), registry, [event_id], who)
    for refused, why in decided.refused.items():
        log.warning("event.retry_refused", event_id=refused, reason=why)
