"""Flower with our pages: the same command, options, login and address.

``celery -A tasks flower`` builds it instead of Flower's own application (``tasks`` sees to that). What it relies on of
Flower is pinned, and looked at by a test of every page.
"""

import logging
from typing import Any

import tornado.web
from flower.app import Flower, rewrite_handler
from tornado.httputil import HTTPServerRequest
from tornado.web import StaticFileHandler, url

from app.errors import NeverdropError
from app.flower import conversation, dead_letters, held, pipeline, templates
from app.flower import overrides as stock
from app.flower.access import READ_ONLY_USER, SAFE_METHODS, has_login, refusal, user_of
from app.flower.base import STATIC
from app.handlers import load_handlers
from config.logging import configure
from config.settings import settings

HANDLERS = [
    url(r"/dead-letters", dead_letters.DeadLetters, name="dead_letters"),
    url(r"/dead-letters/table", dead_letters.DeadLetterTable),
    url(r"/dead-letters/facets", dead_letters.Facets),
    url(r"/dead-letters/count", dead_letters.Count),
    url(r"/dead-letters/states", dead_letters.States),
    url(r"/dead-letters/progress", dead_letters.Progress),
    url(r"/dead-letters/retry", dead_letters.Retry),
    url(r"/dead-letters/discard", dead_letters.Discard),
    url(r"/dead-letters/reconcile", dead_letters.Reconcile),
    url(r"/dead-letters/(\d+)", dead_letters.DeadLetterTimeline),
    url(r"/dead-letters/(\d+)/edit", dead_letters.Edit),
    url(r"/pipeline", pipeline.Pipeline, name="pipeline"),
    url(r"/pipeline/numbers", pipeline.Numbers),
    url(r"/pipeline/samples", pipeline.Samples),
    url(r"/held/count", held.HeldCount, name="held_count"),
    url(r"/held/retry", held.HeldRetry),
    url(r"/held/skip", held.HeldSkip),
    url(r"/conversation/(\d+)", conversation.ConversationPage, name="conversation"),
    url(r"/conversation/(\d+)/events", conversation.LaneEvents),
    url(r"/conversation/(\d+)/(pause|resume)", conversation.PauseSwitch),
    url(r"/neverdrop/(.*)", StaticFileHandler, {"path": str(STATIC)}, name="neverdrop_static"),
    url(r"/broker", stock.Broker),
    url(r"/api/queues/length", stock.QueueLengths),
    url(r"/api/task/send-task/(.+)", stock.SendTask),
    url(r"/api/task/async-apply/(.+)", stock.AsyncApplyTask),
    url(r"/api/task/apply/(.+)", stock.ApplyTask),
    url(r"/metrics", stock.ClosedMetrics),
]


class NeverdropFlower(Flower):  # type: ignore[misc]
    """Flower's application with our handlers before its own."""

    def __init__(self, options: Any = None, **kwargs: Any) -> None:
        _complete(options)
        kwargs["template_loader"] = templates.loader(kwargs["template_path"])
        super().__init__(options=options, **kwargs)
        prefix = options.url_prefix
        self.add_handlers(".*", [rewrite_handler(each, prefix) if prefix else each for each in HANDLERS])

    def find_handler(self, request: HTTPServerRequest, **kwargs: Any) -> Any:
        """Whatever the page, Flower's own included: a user who may only look changes nothing."""
        if request.method not in SAFE_METHODS:
            user = user_of(self, request)
            if refusal(self.options, settings(), user) == READ_ONLY_USER and user is not None:
                return self.get_handler_delegate(request, stock.Refused)
        return super().find_handler(request, **kwargs)


def _complete(options: Any) -> None:
    """Settings that Flower does not read itself; and no start in production without a login."""
    known = settings()
    given = known.flower_basic_auth.get_secret_value()
    if given and not options.basic_auth:  # from FLOWER_BASIC_AUTH_FILE
        options.basic_auth = given.split(",")
    if known.neverdrop_env == "production" and not has_login(options):
        raise SystemExit(
            "neverdrop cannot start Flower: in production it needs a login. "
            "Set FLOWER_BASIC_AUTH to user:password, or use --auth with an OAuth provider."
        )
    try:
        load_handlers(known.handlers, known.handler_time_limit_seconds)
    except NeverdropError as error:
        raise SystemExit(f"neverdrop cannot start Flower: {error}") from error


def with_neverdrop_pages(**kwargs: Any) -> tornado.web.Application:
    """What Flower's command builds."""
    level = logging.getLogger().level
    configure(settings(), "flower")
    logging.getLogger().setLevel(level)  # what packages log is chosen by Flower's option --logging
    return NeverdropFlower(**kwargs)
