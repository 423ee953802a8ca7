"""Flower with our pages: the same command, options, login and address.

``celery -A tasks flower`` builds it instead of Flower's own application (``tasks`` sees to that). What it relies on of
Flower is pinned, and looked at by a test of every page.
"""

import logging
from typing import Any

import tornado.web
from celery.utils.imports import symbol_by_name
from flower.app import Flower, rewrite_handler
from flower.inspector import Inspector
from flower.views.auth import LoginHandler
from flower.views.error import NotFoundErrorHandler
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.web import StaticFileHandler, url

from app.errors import NeverdropError
from app.flower import (
    conversation,
    dead_letters,
    erasure,
    held,
    outbox,
    pipeline,
    processes,
    replays,
    targets,
    tasks,
    templates,
)
from app.flower import overrides as stock
from app.flower.access import has_login
from app.flower.base import STATIC
from app.flower.gate import Gate, gated, log_request, refused_by
from app.flower.secrets import secrets_of, without_secrets
from app.flower.server import BoundedServer, bind_private_socket
from app.handlers import load_handlers
from app.targets import load_targets
from config.logging import configure
from config.settings import settings

FLOWERS_COLUMNS = "name,uuid,state,received,runtime,worker"  # of its table of tasks, where nobody says others

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
    url(r"/pipeline/processes", processes.ProcessTable),
    url(r"/held/table", held.HeldTable),
    url(r"/held/count", held.HeldCount, name="held_count"),
    url(r"/held/retry", held.HeldRetry),
    url(r"/held/skip", held.HeldSkip),
    url(r"/targets/([a-z0-9_-]+)/(pause|resume)", targets.TargetSwitch),
    url(r"/outbox", outbox.OutboxPage, name="outbox"),
    url(r"/outbox/table", outbox.OutboxTable),
    url(r"/outbox/decide/(send_again|was_sent|drop)", outbox.OutboxDecide),
    url(r"/outbox/resume", outbox.NumberResume),
    url(r"/conversations", conversation.Conversations, name="conversations"),
    url(r"/conversations/find", conversation.FindConversations),
    url(r"/job/(\d+)", tasks.JobPage, name="job"),
    url(r"/replays", replays.ReplaysPage, name="replays"),
    url(r"/replays/table", replays.ReplaysTable),
    url(r"/replays/count", replays.ReplayCount),
    url(r"/replays/start", replays.ReplayStart),
    url(r"/replays/stop", replays.ReplayStop),
    url(r"/conversation/(\d+)", conversation.ConversationPage, name="conversation"),
    url(r"/conversation/(\d+)/events", conversation.LaneEvents),
    url(r"/conversation/(\d+)/(pause|resume)", conversation.PauseSwitch),
    url(r"/conversation/(\d+)/erasure", erasure.ErasurePage, name="erasure"),
    url(r"/conversation/(\d+)/erasure/count", erasure.ErasureCount),
    url(r"/conversation/(\d+)/erasure/erase", erasure.Erase),
    url(r"/neverdrop/(.*)", StaticFileHandler, {"path": str(STATIC)}, name="neverdrop_static"),
    url(r"/broker", stock.Broker),
    url(r"/api/queues/length", stock.QueueLengths),
    url(r"/api/task/send-task/(.+)", stock.SendTask),
    url(r"/api/task/async-apply/(.+)", stock.AsyncApplyTask),
    url(r"/api/task/apply/(.+)", stock.ApplyTask),
    url(r"/metrics", stock.ClosedMetrics),
]


class SecretlessInspector(Inspector):  # type: ignore[misc]
    """Keeps what workers answer, without the secrets in it: they answer with the broker's address."""

    def _on_update(self, workername: str, method: str, response: Any) -> None:
        super()._on_update(workername, method, without_secrets(response, secrets_of(settings())))


class NeverdropFlower(Flower):  # type: ignore[misc]
    """Flower's application with our handlers before its own."""

    def __init__(self, options: Any = None, **kwargs: Any) -> None:
        self.target_names = _complete(options)
        kwargs["template_loader"] = templates.loader(kwargs["template_path"])
        super().__init__(options=options, **kwargs)
        self._gate = Gate(self)
        self.inspector = SecretlessInspector(self.io_loop, self.capp, options.inspect_timeout / 1000)
        prefix = options.url_prefix
        self.add_handlers(".*", [rewrite_handler(each, prefix) if prefix else each for each in HANDLERS])

    def start_http_server(self) -> int | None:
        """Listen on our server instead of Flower's; return the port, or None for a Unix socket."""
        options = self.options
        secure = None if options.unix_socket else self.ssl_options
        self.server = BoundedServer(self, ssl_options=secure, xheaders=options.xheaders)
        if options.unix_socket:
            try:
                self.server.add_socket(bind_private_socket(options.unix_socket))
            except (NeverdropError, OSError) as error:
                raise SystemExit(f"neverdrop cannot start Flower: {error}") from error
            return None
        sockets = bind_sockets(options.port, address=options.address)
        self.server.add_sockets(sockets)
        port: int = sockets[0].getsockname()[1]
        return port

    def get_handler_delegate(
        self,
        request: HTTPServerRequest,
        target_class: type,
        target_kwargs: dict[str, Any] | None = None,
        path_args: list[bytes] | None = None,
        path_kwargs: dict[str, bytes] | None = None,
    ) -> Any:
        """Whatever the route, Flower's own included: the gate decides first."""
        target = self._login_provider() if target_class is LoginHandler else target_class
        refused = self._gate.judge(request, target)
        if refused is not None:
            return super().get_handler_delegate(request, refused_by(request), {"refusal": refused})
        return super().get_handler_delegate(request, gated(target), target_kwargs, path_args, path_kwargs)

    @property
    def broker_uri(self) -> str:
        """What pages show of the broker's address."""
        return str(without_secrets(settings().redis.broker_url, secrets_of(settings())))

    def _login_provider(self) -> Any:
        """What Flower's login would make of itself, past the gate."""
        name = self.options.auth_provider
        return symbol_by_name(name) if name else NotFoundErrorHandler

    def log_request(self, handler: Any) -> None:
        """Instead of Tornado's line, which holds the query."""
        log_request(handler)


def _complete(options: Any) -> list[str]:
    """Settings that Flower does not read itself; and no start in production without a login. Returns the targets."""
    known = settings()
    given = known.flower_basic_auth.get_secret_value()
    if given and not options.basic_auth:  # from FLOWER_BASIC_AUTH_FILE
        options.basic_auth = given.split(",")
    if options.tasks_columns == FLOWERS_COLUMNS:  # nobody has chosen others
        options.tasks_columns += ",result"  # of an ``advance``: which events it ran
    if known.neverdrop_env == "production" and not has_login(options):
        raise SystemExit(
            "neverdrop cannot start Flower: in production it needs a login. "
            "Set FLOWER_BASIC_AUTH to user:password, or use --auth with an OAuth provider."
        )
    try:
        handlers = load_handlers(known.handler_modules, known.handler_time_limit_seconds)
        return list(load_targets(known, handlers).targets)
    except NeverdropError as error:
        raise SystemExit(f"neverdrop cannot start Flower: {error}") from error


def with_neverdrop_pages(**kwargs: Any) -> tornado.web.Application:
    """What Flower's command builds."""
    level = logging.getLogger().level
    configure(settings(), "flower")
    logging.getLogger().setLevel(level)  # what packages log is chosen by Flower's option --logging
    return NeverdropFlower(**kwargs)
