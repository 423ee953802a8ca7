"""What Flower's page of a task says about a task ``advance``: which jobs it ran, each a link to its conversation."""

from typing import Any

import tornado.web
from sqlalchemy import Connection, text

from app.flower import parameters
from app.flower.base import Page
from app.lanes import tally
from config.celery import ADVANCE

# Where Celery's events have what a task returned, or raised
TEXTS = ("result", "exception", "traceback")
LANE = text(
    "SELECT e.lane FROM event_jobs j JOIN events e ON e.id = j.event_id WHERE j.id = :id OR e.id = :id LIMIT 1"
)


def jobs_of(task: Any) -> list[tuple[str, list[int]]]:
    """Return the outcomes of what a task ran, each with its jobs; none for other tasks."""
    if task.name != ADVANCE:
        return []
    for name in TEXTS:
        if found := list(tally.named_in(str(getattr(task, name, None) or ""))):
            return found
    return []


class JobPage(Page):
    """Leads to a job, or an event, in its conversation."""

    @tornado.web.authenticated
    async def get(self, id_: str) -> None:
        number = parameters.event_id(id_)
        lane = await self.read(_lane, number)
        if lane is None:
            raise tornado.web.HTTPError(
                404, reason="there is no event with this number; it may have been deleted"
            )
        self.redirect(f"{self.reverse_url('conversation', lane)}#event-{number}")


def _lane(connection: Connection, number: int) -> int | None:
    return connection.execute(LANE, {"id": number}).scalar()
