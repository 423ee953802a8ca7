"""A conversation's page: its events in order, and the switch that lets them wait for a person."""

import tornado.web
from sqlalchemy import Connection

from app.flower import parameters
from app.flower import serializers as shown
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.lanes import Pause, pauses
from app.stores import engine, redis
from app.views import LaneEvent, lane_events

NO_CONVERSATION = "there is no conversation with this number"


class ConversationPage(Page):
    @tornado.web.authenticated
    async def get(self, lane: str) -> None:
        number = parameters.event_id(lane)
        pause = await self.read(pauses.state, number)
        if pause is not None and pause.lane != number:  # it became a part of another one
            self.redirect(self.reverse_url("conversation", pause.lane))
            return
        self.show("conversation", lane=number)


class LaneEvents(ApiHandler):
    """The last events of a lane, or those before one; and whether it is paused."""

    @tornado.web.authenticated
    async def get(self, lane: str) -> None:
        number = parameters.event_id(lane)
        before = self.get_query_argument("before", None)
        reveal = self.reveal("conversation", lane=number)
        pause, events = await self.read(_lane, number, parameters.event_id(before) if before else None)
        self.answer(
            pause=shown.pause(pause, reveal) if pause else None,
            events=[shown.lane_event(event, reveal) for event in events],
            more=len(events) >= lane_events.SHOWN,
        )


def _lane(connection: Connection, lane: int, before: int | None) -> tuple[Pause | None, list[LaneEvent]]:
    return pauses.state(connection, lane), lane_events.events(connection, lane, before)


class PauseSwitch(ChangeHandler):
    """Pause or resume; {"changed": false} where somebody else was first."""

    async def post(self, lane: str, action: str) -> None:
        number = parameters.event_id(lane)
        if await self.read(pauses.state, number) is None:
            raise tornado.web.HTTPError(404, reason=NO_CONVERSATION)
        if action == "pause":
            changed = await self.run(pauses.pause, engine(), number, self.who)
        else:
            changed = await self.run(pauses.resume, engine(), redis(), number, self.who)
        state = await self.read(pauses.state, number)
        self.answer(changed=changed, pause=shown.pause(state, reveal=False) if state else None)
