"""The web process: ``uvicorn app.web:app``, with the options that ``app.dev.stack.programs`` names.

``app`` is made when it is first asked for, so that importing this module starts nothing.
"""

import atexit
import sys
from functools import cache

from flask import Flask
from redis.exceptions import RedisError
from uvicorn.config import STARTUP_FAILURE

from app.broker import envelope
from app.intake import primary_store, process_intake
from app.stores import redis_checks
from app.watch import FALLBACK_SECONDS, SIGNATURES_SECONDS, AlertName, RecentCount, alert_timer, reporting
from app.web import health, metrics, webhook
from app.web.garbage import collect_seldom
from app.web.gateway import Gateway
from config import logging
from config.settings import SettingsError, settings

log = logging.get_logger(__name__)


def create_app() -> Flask:
    """Return the Flask application with all routes."""
    app = Flask(__name__, static_folder=None)
    for part in (webhook, health, metrics):
        app.register_blueprint(part.blueprint)
    return app


def gateway(app: Flask) -> Gateway:
    """Return the ASGI application that serves ``app``."""
    return Gateway(
        app,
        on_loop=[("POST", "/webhook"), ("POST", "/webhook/")],
        max_bytes=webhook.MAX_BODY_BYTES,
        paths=frozenset(rule.rule for rule in app.url_map.iter_rules()),  # none of them has a parameter
    )


@cache
def start() -> Gateway:
    """Set up the process and return its ASGI application.

    Raises SystemExit, after printing why, when bodies could not be stored safely.
    """
    try:
        logging.configure(settings(), "web")
    except SettingsError as error:
        raise _cannot_start(f"\n{error}") from error
    reporting.start(settings(), "web")
    envelope.prepare()
    _check_redis()
    _judge_alerts()
    served = gateway(create_app())
    collect_seldom()
    return served


def _judge_alerts() -> None:
    timer = alert_timer.for_process(
        {
            AlertName.SIGNATURES_REFUSED: RecentCount(
                lambda: webhook.rejections.total("signature"), SIGNATURES_SECONDS
            ),
            AlertName.FALLBACK_STORE: RecentCount(lambda: process_intake().num_in_fallback, FALLBACK_SECONDS),
        },
        kind="web",
    )
    timer.start()
    atexit.register(timer.stop)


def _check_redis() -> None:
    try:
        primary_store.check_stores()
    except redis_checks.UnsafeJournal as error:
        raise _cannot_start(f" {error}") from error
    except RedisError as error:
        log.warning("journal.unavailable", error=logging.describe(error))


def _cannot_start(why: str) -> SystemExit:
    print(f"neverdrop cannot start:{why}", file=sys.stderr)  # noqa: T201  (for whoever started it)
    return SystemExit(STARTUP_FAILURE)  # uvicorn does not start a worker again after this code
