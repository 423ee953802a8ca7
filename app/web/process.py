"""The web process: ``uvicorn app.web:app``, with the options that ``app.dev.stack.programs`` names.

``app`` is made when it is first asked for, so that importing this module starts nothing.
"""

import sys
from functools import cache

from flask import Flask
from redis.exceptions import RedisError
from uvicorn.config import STARTUP_FAILURE

from app.broker import envelope
from app.intake import primary_store as first_door
from app.stores import redis_checks
from app.watch import reporting
from app.web import health, metrics, webhook
from app.web.gateway import Gateway
from config import logging
from config.settings import SettingsError, settings

log = logging.get_logger(__name__)


def create_app() -> Flask:
    """The routes; needs no server."""
    app = Flask(__name__, static_folder=None)
    for part in (webhook, health, metrics):
        app.register_blueprint(part.blueprint)
    return app


def gateway(app: Flask) -> Gateway:
    """The application on an event loop."""
    return Gateway(app, on_loop=[("POST", "/webhook")], most_bytes=webhook.MAX_BODY_BYTES)


@cache
def start() -> Gateway:
    """Set the process up, then the routes; SystemExit, after a word on what keeps it from accepting safely."""
    try:
        logging.configure(settings(), "web")
    except SettingsError as error:
        raise _cannot_start(f"\n{error}") from error
    reporting.start(settings(), "web")
    envelope.prepare()
    _inspect_redis()
    return gateway(create_app())


def _inspect_redis() -> None:
    try:
        first_door.check_durability()
    except redis_checks.UnsafeJournal as error:
        raise _cannot_start(f" {error}") from error
    except RedisError as error:
        log.warning("journal.unavailable", error=logging.describe(error))


def _cannot_start(why: str) -> SystemExit:
    print(f"neverdrop cannot start:{why}", file=sys.stderr)  # noqa: T201  (for whoever started it)
    return SystemExit(STARTUP_FAILURE)  # which uvicorn knows: it does not try again
