"""The list of conversations, and one's page: a chat, its events, and the switch that lets them wait for a person."""

import tornado.web
from sqlalchemy import Connection

from app.flower import parameters
from app.flower import serializers as shown
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.lanes import Pause, pauses
from app.stores import engine, redis
from app.views import (
    DialogView,
    LaneEvent,
    Send,
    SendFilter,
    conversations,
    dialogs_of,
    lane_events,
    sends,
)
from config.flower_roles import Role

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
    """The last events of a lane, or those before one; what was sent for them; and whether it is paused."""

    @tornado.web.authenticated
    async def get(self, lane: str) -> None:
        number = parameters.event_id(lane)
        before = self.get_query_argument("before", None)
        reveal = self.reveal("conversation", lane=number)
        pause, events, replies, dialogs = await self.read(
            _lane, number, parameters.event_id(before) if before else None
        )
        self.answer(
            pause=shown.pause(pause, reveal) if pause else None,
            events=[shown.lane_event(event, reveal) for event in events],
            sends=[shown.send(reply, reveal) for reply in replies],
            dialogs=[shown.dialog(dialog, reveal) for dialog in dialogs],
            more=len(events) >= lane_events.SHOWN,
        )


def _lane(
    connection: Connection, lane: int, before: int | None
) -> tuple[Pause | None, list[LaneEvent], list[Send], list[DialogView]]:
    events = lane_events.events(connection, lane, before)
    of_events = SendFilter(event_ids=list({event.event_id for event in events}))
    replies = sends.find(connection, of_events)
    return pauses.state(connection, lane), events, replies, dialogs_of(connection, lane)


class Conversations(Page):
    needs = Role.READ

    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("conversations")


class FindConversations(ApiHandler):
    """{"looked_for"}: the conversations that are meant; those of the newest events for an empty one.

    By POST the question is in no URL, which others may log.
    """

    needs = Role.READ

    @tornado.web.authenticated
    async def post(self) -> None:
        looked_for = parameters.text("looked_for", self.wanted_body().get("looked_for", ""))
        reveal = self.reveal("conversations")
        found = await self.read(conversations.find, looked_for)
        self.answer(conversations=[shown.conversation(each, reveal) for each in found])


class PauseSwitch(ChangeHandler):
    """Pause or resume; {"changed": false} where somebody else was first.

    A pause has "hours" (null: until somebody resumes it), why ("reason"), and whether messages that come meanwhile are
    skipped when it ends ("skips").
    """

    async def post(self, lane: str, action: str) -> None:
        number = parameters.event_id(lane)
        if await self.read(pauses.state, number) is None:
            raise tornado.web.HTTPError(404, reason=NO_CONVERSATION)
        if action == "pause":
            body = self.wanted_body()
            seconds = parameters.hours(body.get("hours"))
            why = parameters.text("reason", body.get("reason", "")) or None
            skips = body.get("skips") is True
            changed = await self.run(pauses.pause, engine(), number, self.who, seconds, why, skips=skips)
        else:
            changed = await self.run(pauses.resume, engine(), redis(), number, self.who)
        state = await self.read(pauses.state, number)
        self.answer(changed=changed, pause=shown.pause(state, reveal=False) if state else None)
