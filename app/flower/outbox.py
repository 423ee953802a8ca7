"""The outbox page: replies that were not sent or may have been, and what a person decides about them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import tornado.web
from sqlalchemy import Connection

from app import outbox
from app.broker import wake_senders
from app.flower import parameters
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.flower.parameters import BadRequest
from app.stores import engine, redis
from app.views import NEED_A_DECISION, Send, SendFilter, masked_conversation, masked_text, sends
from config.flower_roles import Role

MAX_LISTED = 200
PART = 500  # sends of one part of a decision about all that match
DECISIONS = ("send_again", "was_sent", "drop")
SURE = {"": None, "sure": False, "unsure": True}


class OutboxPage(Page):
    needs = Role.READ

    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("outbox")


class OutboxTable(ApiHandler):
    """The sends that a person may decide about, the oldest first, and the numbers that are stopped."""

    needs = Role.READ

    @tornado.web.authenticated
    async def get(self) -> None:
        reveal = self.reveal("outbox")
        filter_ = wanted(
            {"sure": self.get_query_argument("sure", ""), "code": self.get_query_argument("code", "")}
        )
        found, stopped = await self.read(_found_and_stopped, filter_)
        if not reveal:
            stopped = [each | {"error": masked_text(each["error"])} for each in stopped]
        self.answer(
            sends=[_shown(each, reveal) for each in found], stopped=stopped, more=len(found) == MAX_LISTED
        )


class OutboxDecide(ChangeHandler):
    """{"ids"} or {"filter", "after"}: {"changed", "last"}; ``last`` is null when no more match."""

    async def post(self, action: str) -> None:
        body = self.wanted_body()
        why = parameters.text("reason", body.get("reason") or "") or None
        ids, last = await self.read(_chosen, body)
        changed = await self.run(outbox.decide, engine(), action, ids, self.who, why)
        await self.run(wake_senders, redis())
        self.answer(changed=changed, last=last)


class NumberResume(ChangeHandler):
    """{"number"}: sends leave from it again."""

    async def post(self) -> None:
        number = parameters.text("number", self.wanted_body().get("number"))
        resumed = await self.run(outbox.OutboxStatements(engine()).resume, number)
        if not resumed:
            raise BadRequest(f"number {number} is not stopped")
        await self.run(wake_senders, redis())
        self.answer(number=number)


def wanted(given: Any) -> SendFilter:
    """Read a filter: {"sure": "", "sure" or "unsure", "code": a code of Meta's or ""}."""
    if not isinstance(given, Mapping) or set(given) - {"sure", "code"}:
        raise BadRequest("the filter has sure and code")
    sure, code = given.get("sure", ""), given.get("code", "")
    if sure not in SURE:
        raise BadRequest(f"sure must be one of {', '.join(map(repr, SURE))}")
    if code != "" and (not isinstance(code, str) or not code.isdecimal() or len(code) > 9):
        raise BadRequest("code must be a code of Meta's, such as 131026")
    return SendFilter(states=NEED_A_DECISION, unsure=SURE[sure], code=int(code) if code else None)


def _found_and_stopped(
    connection: Connection, filter_: SendFilter
) -> tuple[list[Send], list[dict[str, Any]]]:
    return sends.find(connection, filter_, MAX_LISTED), sends.stopped_numbers(connection)


def _chosen(connection: Connection, body: dict[str, Any]) -> tuple[list[int], int | None]:
    if ("ids" in body) == ("filter" in body):
        raise BadRequest("give ids, or a filter")
    if "ids" in body:
        return parameters.event_ids(body["ids"]), None
    after = parameters.whole("after", body.get("after", 0))
    found = [each.id for each in sends.find(connection, wanted(body["filter"]), PART, after)]
    return found, found[-1] if len(found) == PART else None


def _shown(send: Send, reveal: bool) -> dict[str, Any]:
    line = {**asdict(send), "stands_at": send.stands_at}
    del line["body"], line["message_id"]
    if reveal:
        return line
    return line | {"conversation": masked_conversation(send.conversation), "error": masked_text(send.error)}
