"""The pipeline at a glance: numbers of this moment, alerts, and charts of the last hour and day."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import tornado.web
from sqlalchemy import Connection

from app.flower import targets
from app.flower.base import ApiHandler, Page
from app.flower.parameters import BadRequest
from app.stores import engine, redis
from app.targets import TargetPause, pauses
from app.views import SPANS, RaisedAlert, alerts, overview
from app.watch import REMEDIES, PartialBacklog, PartialProbe
from config.settings import settings


class Pipeline(Page):
    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("pipeline")


STORE_SECONDS = 2.0  # a store that has not answered by then is not waited for
probe = PartialProbe()


class Numbers(ApiHandler):
    """Everything that the page shows as a number; null for what only a store knows that does not answer."""

    @tornado.web.authenticated
    async def get(self) -> None:
        window = settings().alert_growth_window_seconds
        measured = await self.run(probe.ask, engine(), redis(), window, STORE_SECONDS)
        claims = None if measured.transport is None else await self.run(overview.claimed_lanes, redis())
        minute = None
        details: list[RaisedAlert] = []
        paused: Sequence[TargetPause] | None = None
        if measured.stored is not None:
            last_minute, details, paused = await self.read(_stored)
            minute = asdict(last_minute)
        raised = _alerts(measured.raised, details)
        health = None if measured.transport is None else measured.transport.targets
        rows = targets.table(self.application.target_names, health, paused)
        self.answer(minute=minute, claims=claims, alerts=raised, targets=rows, **_numbers(measured))


def _stored(
    connection: Connection,
) -> tuple[overview.LastMinute, list[RaisedAlert], Sequence[TargetPause]]:
    return overview.last_minute(connection), alerts.raised(connection), pauses.all_paused(connection)


def _alerts(names: Iterable[str], details: list[RaisedAlert]) -> list[dict[str, Any]]:
    """Each with what to do; what only Postgres knows of it is missing while that is away."""
    known = {each.name: asdict(each) for each in details}
    remedies = {name: REMEDIES[name]._asdict() for name in REMEDIES}  # an alert of another release has none
    return [{"name": name, **known.get(name, {}), "remedy": remedies.get(name)} for name in sorted(names)]


def _numbers(measured: PartialBacklog) -> dict[str, Any]:
    complete, stored, transport = measured.complete, measured.stored, measured.transport
    return {
        "size": complete and complete.size,
        "oldest_seconds": complete and complete.oldest_seconds,
        "journal": transport and transport.journal,
        "second_door": stored and stored.deliveries,
        "pending": stored and stored.pending,
        "dead_letters": stored and stored.dead_letters,
        "held_lanes": stored and stored.held_lanes,
        "paused_lanes": stored and stored.paused_lanes,
        "paused": stored and stored.paused,
        "unhandled": stored and stored.unhandled,
        "replies_waiting": stored and stored.outbox.waiting,
        "replies_dead": stored and stored.outbox.dead,
        "forwards_waiting": stored and stored.targets.waiting,
        "queues": transport and dict(transport.queues),
        "unacked": transport and transport.unacked,
        "quarantined": transport and transport.quarantined,
        "workers": None
        if measured.workers is None
        else {name: sorted(queues) for name, queues in sorted(measured.workers.items())},
        "unanswered": sorted(measured.errors),
    }


class Samples(ApiHandler):
    """The points of the charts."""

    @tornado.web.authenticated
    async def get(self) -> None:
        span = SPANS.get(self.get_query_argument("span", "hour"))
        if span is None:
            raise BadRequest(f"span must be one of {', '.join(SPANS)}")
        points = await self.read(overview.series, span)
        self.answer(points=points, step=span.step, seconds=span.seconds)
