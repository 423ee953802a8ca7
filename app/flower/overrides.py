"""Flower's own views, where they have to behave differently here."""

from typing import Any

import tornado.web
from flower.api.tasks import GetQueueLengths, TaskApply, TaskAsyncApply, TaskSend
from flower.views.broker import BrokerView
from flower.views.monitor import Metrics
from sqlalchemy import text
from tornado.ioloop import IOLoop

from app.flower.gate import identity_of
from app.stores import MAX_ID, engine
from config.celery import QUEUES, RETRY_DEAD_LETTER
from config.flower_roles import Role

STATE = text("SELECT state::text FROM event_jobs WHERE id = :id")


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
    """Flower's task API retries a dead letter by its event's id, records who asked for it, and sends no other task.

    ``{"args": [17]}`` or ``{"kwargs": {"event_id": 17}}``. The answer comes before the retry: what refuses it then
    is in the log.
    """

    needs = Role.DECIDE

    async def post(self, name: str) -> None:
        if name != RETRY_DEAD_LETTER:
            raise tornado.web.HTTPError(403, f"only {RETRY_DEAD_LETTER} can be sent")
        await self._check()
        await super().post(name)  # type: ignore[misc]

    def get_task_args(self) -> Any:
        args, kwargs, _ = super().get_task_args()  # type: ignore[misc]
        user = identity_of(self.request).user  # type: ignore[attr-defined]
        return [_event_id(args, kwargs)], {"who": user}, {}

    async def _check(self) -> None:
        """Refuse what could only fail."""
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
