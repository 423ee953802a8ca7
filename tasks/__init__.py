"""The Celery application: ``celery -A tasks worker|beat|flower``.

Every task is thin: it opens what is needed, calls a function of ``app`` that is tested without Celery, and acts on
its answer.
"""

import gc
import sys
from typing import Any

from celery.signals import after_task_publish, beat_init, celeryd_init, setup_logging, worker_process_init
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.broker import NeverdropCelery
from app.broker import channel as broker_channel
from app.errors import NeverdropError
from app.handlers import load_handlers
from app.lanes import worker_watch
from app.outbox import end_leases
from app.stores import check_database, engine, redis, redis_checks
from app.targets import load_targets, lost
from app.watch import alert_timer, beat_signal, heartbeats, reporting
from config.celery import OUTBOX
from config.logging import configure, describe, get_logger
from config.settings import SettingsError, settings

log = get_logger(__name__)

try:
    settings()
except SettingsError as error:  # in words, and not as a traceback of Celery's
    raise SystemExit(f"neverdrop cannot start:\n{error}") from None

broker_channel.install()
app = NeverdropCelery(
    settings(),
    "neverdrop",
    include=["tasks.about", "tasks.ingest", "tasks.lanes", "tasks.maintenance", "tasks.outbox"],
)
heartbeats.install(app)
alert_timer.install(app)
worker_watch.install(
    app, lambda engine, _redis, worker, processes: end_leases(engine, worker, processes), lost.release
)


def _flower(**given: Any) -> Any:
    from app.flower import with_neverdrop_pages  # only the process that is Flower needs it

    return with_neverdrop_pages(**given)


if "flower.command" in sys.modules:  # the command line has loaded its commands: let that one build our Flower
    sys.modules["flower.command"].Flower = _flower  # type: ignore[attr-defined]


@setup_logging.connect
def _logging(**_: Any) -> None:
    """Connected at all, it keeps Celery from setting up logging of its own."""


@celeryd_init.connect
def _worker_starts(sender: str, options: Any = None, **_: Any) -> None:
    """In the main process, before the pool forks: what is wrong is said once, and the start ends here."""
    configure(settings(), sender.partition("@")[0])
    try:
        handlers = load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)
        load_targets(settings(), handlers)
        needs_handlers = str((options or {}).get("queues") or "") != OUTBOX
        if needs_handlers and settings().neverdrop_env == "production" and not settings().allow_no_handlers:
            handlers.refuse_if_empty()
        _check_stores()
    except NeverdropError as error:
        raise SystemExit(f"neverdrop cannot start: {error}") from error
    reporting.start(settings(), "worker")
    # What is loaded now lives as long as the process. Celery collects garbage before it forks each pool process, and
    # would look at all of it each time; those share its memory for as long as nobody does
    gc.freeze()


@worker_process_init.connect
def _pool_process_starts(**_: Any) -> None:
    reporting.start(settings(), "worker")


def _check_stores() -> None:
    """NeverdropError where the stores must not be used; one that is away is waited for."""
    try:
        redis_checks.check_durability(redis(), production=settings().neverdrop_env == "production")
        with engine().connect() as connection:
            check_database(redis(), connection)
        _log_findings()
    except RedisError as error:
        log.warning("redis.unavailable", error=describe(error))
    except SQLAlchemyError as error:
        log.warning("database.unavailable", error=describe(error))
    engine().dispose()  # the pool's processes have connections of their own


def _log_findings() -> None:
    """Log what the doctor finds about the stores, but for what was checked and logged already."""
    from app import doctor  # here, where it is needed once

    for finding in doctor.stores(engine(), redis()):
        if finding.check not in doctor.CHECKED_AT_START:
            log.warning("doctor.found", check=finding.check, what=finding.what, fix=finding.fix)


@beat_init.connect
def _beat_starts(**_: Any) -> None:
    configure(settings(), "beat")
    try:
        _check_stores()
    except NeverdropError as error:
        raise SystemExit(f"neverdrop cannot start: {error}") from error
    reporting.start(settings(), "beat")
    after_task_publish.connect(beat_signal.renew)
