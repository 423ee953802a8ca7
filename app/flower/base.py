"""The base of all our handlers in Flower: pages, and answers in JSON.

Store calls run in Flower's executor, never in its event loop. Whatever comes from a payload leaves as JSON or through
Tornado's escaping, and the browser is told to run no script but those of this server.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import tornado.web
from flower.views import BaseHandler
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError, SQLAlchemyError
from tornado.ioloop import IOLoop

from app.errors import NeverdropError
from app.flower.access import refusal
from app.flower.gate import Gated, identity_of
from app.flower.searches import Searches
from app.stores import engine
from config.flower_roles import Role
from config.logging import get_logger
from config.settings import settings

STATIC = Path(__file__).parent / "static"
MAX_JSON = 256 * 1024  # bytes: a thousand ids and a filter

T = TypeVar("T")

searches = Searches()

log = get_logger(__name__)


@cache
def _version(name: str) -> str:
    return tornado.web.StaticFileHandler.get_content_version(str(STATIC / name))


class NeverdropHandler(Gated, BaseHandler):  # type: ignore[misc]
    """What pages and answers share."""

    @property
    def user(self) -> str | None:
        """The user's name (basic auth) or mail address (OAuth); None where Flower has no login."""
        return identity_of(self.request).user

    def refusal_of(self, role: Role) -> str | None:
        """Return why this user may not do what needs ``role``; None: they may."""
        return refusal(self.application.options, settings(), self.user, role)

    def asset(self, name: str) -> str:
        """The address of a file of ours, new with each version of it."""
        return f"{self.reverse_url('neverdrop_static', name)}?v={_version(name)}"

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in words what is wrong, each kind of answer in its own form."""
        status, sentence = _sentence(status_code, _error_in(kwargs))
        if status == 401:
            super().write_error(status, **kwargs)
            return
        self.set_status(status)
        self.say(sentence)

    def say(self, sentence: str) -> None:
        """Answer with a sentence about an error."""
        raise NotImplementedError

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call what waits for a store."""
        executor = self.application.executor
        return await IOLoop.current().run_in_executor(executor, partial(function, *args, **kwargs))

    async def read(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``function(connection, ...)``."""

        def ask() -> T:
            with engine().connect() as connection:
                return function(connection, *args, **kwargs)

        return await self.run(ask)


class Page(NeverdropHandler):
    """A page: Flower's frame, our template, and a script that asks for the rest."""

    def show(self, template: str, **values: Any) -> None:
        self.render(
            f"{template}.html",
            asset=self.asset,
            refusal=self.refusal_of(Role.DECIDE),
            reveal_refusal=self.refusal_of(Role.REVEAL),
            **values,
        )

    def say(self, sentence: str) -> None:
        self.render("trouble.html", asset=self.asset, sentence=sentence, again=self.request.path)


class ApiHandler(NeverdropHandler):
    """An answer in JSON; an error is {"error": sentence}."""

    max_body = MAX_JSON

    def answer(self, **values: Any) -> None:
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(values, default=_plain))

    def wanted_body(self) -> dict[str, Any]:
        """The request's JSON object. A form of another site cannot send this content type."""
        if not self.request.headers.get("Content-Type", "").startswith("application/json"):
            raise tornado.web.HTTPError(415, reason="send application/json")
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError) as error:
            raise tornado.web.HTTPError(400, reason="not JSON") from error
        if not isinstance(body, dict):
            raise tornado.web.HTTPError(400, reason="not a JSON object")
        self.log_search(body)
        return body

    def log_search(self, asked: Mapping[str, Any]) -> None:
        """Log what may tell who a person is, whatever is then answered: a number is enough."""
        searches.log_once(self.user, self.request.path, asked)

    def reveal(self, what: str, **fields: Any) -> bool:
        """Whether personal data was asked for, by who may see it; then who saw it is logged."""
        if self.get_query_argument("reveal", "") != "1":
            return False
        refused = self.refusal_of(Role.REVEAL)
        if refused is not None:
            raise tornado.web.HTTPError(403, reason=refused)
        log.info("personal_data.shown", who=self.user, what=what, **fields)
        return True

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """What is answered with a sentence needs no traceback in the log."""
        if not isinstance(value, (NeverdropError, DataError)):
            super().log_exception(typ, value, tb)

    def say(self, sentence: str) -> None:
        self.answer(error=sentence)


class ChangeHandler(ApiHandler):
    """An answer to a request that changes something: only from somebody who may."""

    needs = Role.DECIDE

    @property
    def who(self) -> str:
        """As it is recorded; the gate has seen to it that there is one."""
        return self.user or ""


def _error_in(given: dict[str, Any]) -> BaseException | None:
    """Return the error that Tornado answers."""
    return given["exc_info"][1] if given.get("exc_info") else None


def _sentence(status: int, error: BaseException | None) -> tuple[int, str]:
    """The status and what to say."""
    if isinstance(error, NeverdropError):
        return 400, str(error)
    if isinstance(error, DataError):
        return 400, "a value cannot be used: it is too large, or of the wrong kind"
    if isinstance(error, SQLAlchemyError):
        return 503, "Postgres does not answer; nothing was changed that was not confirmed"
    if isinstance(error, RedisError):
        return 503, "Redis does not answer"
    if isinstance(error, tornado.web.HTTPError):
        if "_xsrf" in (error.log_message or ""):
            return 403, "this page is too old to change anything: reload it and try again"
        return status, error.reason or error.log_message or f"error {status}"
    return status, f"error {status}: the log of Flower says more"


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")
