"""The Celery application: ``celery -A tasks worker|beat|flower``.

Every task is thin: it opens what is needed, calls a function of ``app`` that is tested without Celery, and acts on
its answer.
"""

from typing import Any

from celery import Celery
from celery.signals import beat_init, celeryd_init, setup_logging, worker_process_init

from app import heartbeats, redis_checks, reporting
from app.connections import redis
from app.handlers import registry
from config.celery import celery_config
from config.logging import configure
from config.settings import settings

app = Celery("neverdrop", include=["tasks.ingest", "tasks.lanes", "tasks.maintenance"])
app.conf.update(celery_config(settings()))
heartbeats.install(app)


@setup_logging.connect
def _logging(**_: Any) -> None:
    """Connected at all, it keeps Celery from setting up logging of its own."""
    configure(settings(), "celery")


@celeryd_init.connect
def _worker_starts(**_: Any) -> None:
    """In the main process, before the pool forks: what is wrong is said once, and the start ends here."""
    registry.load(settings().handlers, settings().handler_time_limit_seconds)
    redis_checks.refuse_unsafe(redis(), settings())
    reporting.start(settings(), "worker")


@worker_process_init.connect
def _pool_process_starts(**_: Any) -> None:
    reporting.start(settings(), "worker")


@beat_init.connect
def _beat_starts(**_: Any) -> None:
    reporting.start(settings(), "beat")
