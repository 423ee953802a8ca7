"""Where every request to Flower passes before a handler sees it, Flower's own included.

Promises: nothing but the health check, the login and static files without a login; what acts needs its role, and a
class of Flower's that says nothing needs ``administer``; a body is bounded before it is read; each unsafe request and
each failed login is a log line; every answer has the headers that keep a browser from helping an attacker.
Relies on Tornado: whatever the route, ``Application.get_handler_delegate`` makes the handler.
"""

from dataclasses import dataclass
from functools import cache
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

import tornado.web
from flower.views import BaseHandler
from flower.views.auth import LogoutHandler
from flower.views.monitor import Healthcheck
from flower.views.tasks import TasksDataTable
from tornado.httputil import HTTPServerRequest
from tornado.web import StaticFileHandler

from app.flower.access import SAFE_METHODS, Identity, has_login, identify, refusal
from app.flower.login_guard import LoginGuard
from config.flower_roles import Role
from config.logging import get_logger, mask_text
from config.settings import settings

OPEN = (Healthcheck, LogoutHandler, StaticFileHandler)
READS_BY_POST = (TasksDataTable,)
MAX_BODY = 64 * 1024  # bytes, of a request that may pass and whose handler says no other number
MAX_REFUSED_BODY = (
    64 * 1024
)  # read before the refusal, so that the client reads it; a longer one ends the connection
BODY_SECONDS = 20
MAX_PATH = 200  # characters of a log line
# Styles may be in attributes: Bootstrap and the charts set them
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Server": "Flower",
}
IDENTITY = "neverdrop_identity"  # of a request, once it is known

log = get_logger(__name__)


@dataclass(frozen=True)
class Refusal:
    """What is answered instead of what was asked for."""

    status: int
    why: str
    retry_after_seconds: int | None = None


def identity_of(request: HTTPServerRequest) -> Identity:
    """Return whom the gate took a request to be from."""
    found: Identity = getattr(request, IDENTITY, Identity())
    return found


class Gate:
    """Decides about each request of one Flower."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._guard = LoginGuard()

    def judge(self, request: HTTPServerRequest, target: type) -> Refusal | None:
        """Return why the request does not reach ``target``, or None; bound its body either way."""
        refused = None if issubclass(target, OPEN) else self._judge_user(request, target)
        max_body = getattr(target, "max_body", MAX_BODY)
        if refused is None and _length(request) > max_body:
            refused = Refusal(413, "too large")
        connection: Any = request.connection
        connection.set_max_body_size(MAX_REFUSED_BODY if refused else max_body)
        connection.set_body_timeout(BODY_SECONDS)
        return refused

    def _judge_user(self, request: HTTPServerRequest, target: type) -> Refusal | None:
        options, address = self._application.options, str(request.remote_ip)
        given = options.basic_auth and not options.auth and "Authorization" in request.headers
        wait = self._guard.wait_seconds(address) if given else 0.0
        if wait > 0:
            return Refusal(429, "too many wrong passwords from this address", int(wait) + 1)
        identity = identify(self._application, request)
        setattr(request, IDENTITY, identity)
        if identity.user is None and identity.claimed:
            failures = self._guard.count_failure(address)
            log.warning("flower.login_failed", address=address, failures=failures, path=_path(request))
        if identity.user is None and has_login(options):
            return Refusal(401 if options.basic_auth and not options.auth else 403, "log in first")
        why = refusal(options, settings(), identity.user, _role(request, target))
        return Refusal(403, why) if why else None


def _role(request: HTTPServerRequest, target: type) -> Role:
    """Return what a request needs. A class of ours says as ``needs`` what its POST does."""
    if request.method in SAFE_METHODS:
        return Role.READ
    if request.method != "POST":
        return Role.ADMINISTER
    return Role.READ if issubclass(target, READS_BY_POST) else getattr(target, "needs", Role.ADMINISTER)


def _length(request: HTTPServerRequest) -> int:
    value = request.headers.get("Content-Length", "0")
    return int(value[:20]) if value.isascii() and value.isdigit() else 0  # Tornado refuses what is no number


def _path(request: HTTPServerRequest) -> str:
    """Return a request's path for a log line, without its query: that may name people."""
    return mask_text(request.path[:MAX_PATH])


def log_request(handler: Any) -> None:
    """Log a request that may change something with who, what, from where, and what was answered."""
    request = handler.request
    if _role(request, type(handler)) is not Role.READ:
        log.info(
            "flower.request",
            who=identity_of(request).user,
            method=str(request.method)[:10],
            path=_path(request),
            address=request.remote_ip,
            status=handler.get_status(),
        )


class Gated:
    """What the gate adds to each handler."""

    request: HTTPServerRequest
    application: Any
    _nonce: str | None = None

    def set_default_headers(self) -> None:
        super().set_default_headers()  # type: ignore[misc]
        own: Any = self
        for name, value in HEADERS.items():
            own.set_header(name, value)
        if not isinstance(self, StaticFileHandler):
            own.set_header("Cache-Control", "no-store")

    def get_current_user(self) -> Any:
        """Return whom the gate let in; True where Flower has no login."""
        if has_login(self.application.options):
            return identity_of(self.request).user
        return True

    @property
    def nonce(self) -> str:
        """What lets an inline script of Flower's run on this page, and no other."""
        if self._nonce is None:
            self._nonce = token_urlsafe(16)
            policy = f"{POLICY}; script-src 'self' 'nonce-{self._nonce}'"
            self.set_header("Content-Security-Policy", policy)  # type: ignore[attr-defined]
        return self._nonce

    def set_cookie(self, name: str, value: str | bytes, *args: Any, **options: Any) -> None:
        options.setdefault("samesite", "Lax")  # not Strict: an OAuth provider sends people back here
        if "https" in (self.request.protocol, self.request.headers.get("X-Forwarded-Proto")):
            options["secure"] = True
        super().set_cookie(name, value, *args, **options)  # type: ignore[misc]

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:  # noqa: ARG002  (as Tornado calls it)
        """Log a fault of the program; Tornado's lines would hold the query."""
        if not isinstance(value, tornado.web.HTTPError):
            log.error("flower.failed", path=_path(self.request), exc_info=value)


@cache
def gated(target: type) -> type:
    """Return ``target`` with what the gate adds."""
    return target if issubclass(target, Gated) else type(target.__name__, (Gated, target), {})


class Refused(Gated, BaseHandler):  # type: ignore[misc]
    """Answers a refusal, whatever was asked for."""

    def initialize(self, refusal: Refusal) -> None:
        self._refusal = refusal

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here."""

    def prepare(self) -> None:
        refused, options = self._refusal, self.application.options
        if refused.status == 403 and options.auth and self._may_log_in():
            self.redirect(f"{self.settings['login_url']}?{urlencode({'next': self.request.uri})}")
            return
        self.set_status(refused.status)
        if refused.status == 401:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        if refused.retry_after_seconds is not None:
            self.set_header("Retry-After", str(refused.retry_after_seconds))
        if "application/json" in self.request.headers.get("Accept", ""):
            self.finish({"error": refused.why})
        else:
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish(refused.why)

    def _may_log_in(self) -> bool:
        return identity_of(self.request).user is None and self.request.method in ("GET", "HEAD")


@tornado.web.stream_request_body
class RefusedAtOnce(Refused):
    """Answers before the body has come, which is then not read."""

    def data_received(self, chunk: bytes) -> None:
        """Drop what comes after the answer."""


def refused_by(request: HTTPServerRequest) -> type:
    """Return the handler that answers a refusal of this request."""
    return RefusedAtOnce if _length(request) > MAX_REFUSED_BODY else Refused
