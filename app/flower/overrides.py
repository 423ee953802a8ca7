"""Flower's own views, where they have to behave differently here."""

from typing import Any

import tornado.web
from flower.api.tasks import GetQueueLengths, TaskApply, TaskAsyncApply, TaskSend
from flower.views import BaseHandler
from flower.views.broker import BrokerView
from flower.views.monitor import Metrics
from sqlalchemy import text
from tornado.ioloop import IOLoop

from app.flower.access import refusal, user_of
from app.stores import MAX_ID, engine
from config.celery import QUEUES, RETRY_DEAD_LETTER
from config.settings import settings

STATE = text("SELECT state::text FROM events WHERE id = :id")


class AllQueues:
    """Flower hides queues that no worker consumes: the one of dead letters is such a queue."""

    def get_active_queue_names(self) -> list[str]:
        return sorted({*super().get_active_queue_names(), *QUEUES})  # type: ignore[misc]


class Broker(AllQueues, BrokerView):  # type: ignore[misc]
    """The Broker page."""


class QueueLengths(AllQueues, GetQueueLengths):  # type: ignore[misc]
    """``/api/queues/length``."""


class ClosedMetrics(Metrics):  # type: ignore[misc]
    """Flower's ``/metrics`` names workers and tasks: only for those who log in."""

    @tornado.web.authenticated
    async def get(self) -> None:
        await super().get()


class RetryByTask:
    """Flower's task API retries a dead letter by its event's id, and records who asked for it.

    ``{"args": [17]}`` or ``{"kwargs": {"event_id": 17}}``. The answer comes before the retry: what refuses it then
    is in the log.
    """

    async def post(self, name: str) -> None:
        if name == RETRY_DEAD_LETTER:
            await self._check()
        await super().post(name)  # type: ignore[misc]

    def get_task_args(self) -> Any:
        args, kwargs, options = super().get_task_args()  # type: ignore[misc]
        if self.path_args[0] == RETRY_DEAD_LETTER:  # type: ignore[attr-defined]
            event_id, user = _event_id(args, kwargs), self._user()
            return [event_id], {"who": user}, {}
        return args, kwargs, options

    def _user(self) -> str | None:
        return user_of(self.application, self.request)  # type: ignore[attr-defined]

    async def _check(self) -> None:
        """Refuse what could only fail, and without a login everything."""
        if not self.current_user:  # type: ignore[attr-defined]
            raise tornado.web.HTTPError(401)
        refused = refusal(self.application.options, settings(), self._user())  # type: ignore[attr-defined]
        if refused:
            raise tornado.web.HTTPError(403, refused)
        (event_id,), _, _ = self.get_task_args()
        state = await IOLoop.current().run_in_executor(None, _state, event_id)
        if state is None:
            raise tornado.web.HTTPError(404, "there is no event with this id")
        if state != "dead":
            raise tornado.web.HTTPError(409, f"the event is {state}, not dead")


def _event_id(args: Any, kwargs: Any) -> int:
    given = [*args, *([kwargs["event_id"]] if isinstance(kwargs, dict) and "event_id" in kwargs else [])]
    if len(given) != 1 or type(given[0]) is not int or not 0 < given[0] <= MAX_ID:
        raise tornado.web.HTTPError(400, 'give the id of one event: {"args": [17]}')
    return given[0]


def _state(event_id: int) -> str | None:
    with engine().connect() as connection:
        return connection.execute(STATE, {"id": event_id}).scalar()


class SendTask(RetryByTask, TaskSend):  # type: ignore[misc]
    """``/api/task/send-task/...``."""


class AsyncApplyTask(RetryByTask, TaskAsyncApply):  # type: ignore[misc]
    """``/api/task/async-apply/...``."""


class ApplyTask(RetryByTask, TaskApply):  # type: ignore[misc]
    """``/api/task/apply/...``."""


class Refused(BaseHandler):  # type: ignore[misc]
    """Instead of any handler, when somebody asks for a change who may not make one."""

    def prepare(self) -> None:
        if not self.current_user:
            raise tornado.web.HTTPError(403, "log in first")
        why = refusal(self.application.options, settings(), user_of(self.application, self.request))
        self.set_status(403)
        if "application/json" in self.request.headers.get("Accept", ""):
            self.finish({"error": why})
        else:
            self.set_header("Content-Type", "text/plain; charset=UTF-8")
            self.finish(why)
