"""The pipeline at a glance: numbers of this moment, held lanes, and charts of the last hour and day."""

from dataclasses import asdict
from typing import Any

import tornado.web
from sqlalchemy import Connection

from app.flower import serializers as shown
from app.flower.base import ApiHandler, Page
from app.flower.parameters import BadRequest
from app.stores import engine, redis
from app.views import SPANS, overview
from app.watch import Backlog, backlog
from config.settings import settings


class Pipeline(Page):
    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("pipeline")


class Numbers(ApiHandler):
    """Everything that the page shows as a number."""

    @tornado.web.authenticated
    async def get(self) -> None:
        reveal = self.reveal("pipeline")
        window = settings().alert_growth_window_seconds
        measured = await self.run(backlog.measure, engine(), redis(), window)
        claims = await self.run(overview.claimed_lanes, redis())
        minute, held = await self.read(_last_minute_and_held)
        self.answer(
            minute=asdict(minute),
            held=[shown.held(lane, reveal) for lane in held],
            claims=claims,
            **_numbers(measured),
        )


def _last_minute_and_held(connection: Connection) -> tuple[overview.LastMinute, list[overview.Held]]:
    return overview.last_minute(connection), overview.held(connection)


def _numbers(measured: Backlog) -> dict[str, Any]:
    return {
        "size": measured.size,
        "oldest_seconds": measured.oldest_seconds,
        "journal": measured.transport.journal,
        "second_door": measured.stored.deliveries,
        "pending": measured.stored.pending,
        "dead_letters": measured.dead_letters,
        "held_lanes": measured.stored.held_lanes,
        "paused_lanes": measured.stored.paused_lanes,
        "paused": measured.stored.paused,
        "queues": dict(measured.transport.queues),
        "unacked": measured.transport.unacked,
        "workers": {name: sorted(queues) for name, queues in sorted(measured.transport.workers.items())},
        "alerts": sorted(measured.stored.raised),
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
