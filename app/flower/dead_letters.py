"""The page of dead letters: the table, one letter with its timeline, and what a person decides about them.

A decision about all that match is made in parts, each of whole conversations, that the page asks for one after the
other: it can show how far it is and be stopped, and a Flower that is restarted in between leaves the rest dead.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import tornado.web
from sqlalchemy import Connection

from app import dead_letters
from app.dead_letters import RetryRate
from app.flower import parameters
from app.flower import serializers as shown
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.flower.cursors import Cursors
from app.flower.decisions import as_json, chosen
from app.handlers import registry
from app.stores import database_now, engine, redis
from app.views import Filter, Order, Row, decided, timeline
from app.views import dead_letters as dead_letter_list
from config.flower_roles import Role

MAX_SHOWN = 200
MAX_PAYLOAD = 16 * 1024 * 1024  # bytes; a payload may have 3 MiB, and escaping makes it longer


cursors = Cursors()


class DeadLetters(Page):
    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("dead_letters")


class DeadLetterTable(ApiHandler):
    """A page of the table, and how many match; by POST the question is in no URL, which others may log."""

    needs = Role.READ

    async def get(self) -> None:
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        self.log_search(given)
        await self._show(given)

    async def post(self) -> None:
        given = self.wanted_body()
        await self._show({name: parameters.text(name, value) for name, value in given.items()})

    async def _show(self, given: dict[str, str]) -> None:
        sort, order = parameters.sorting(given.pop("sort", "died"), given.pop("order", "descending"))
        limit = min(parameters.page_size(given.pop("limit", "50")), MAX_SHOWN)
        cursor = given.pop("cursor", None)
        given.pop("reveal", None)
        wanted = parameters.wanted(given)
        reveal = self.reveal("dead_letters")
        position = cursors.position(cursor) if cursor else None
        rows, total, now = await self.read(_table, wanted, sort, order, position, limit)
        last = rows[-1] if len(rows) == limit else None
        self.answer(
            letters=[shown.row(row, reveal) for row in rows],
            total=total,
            next=cursors.name((_as_text(last.sorted_by), last.id)) if last else None,
            now=now,
        )


def _as_text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _table(
    connection: Connection, wanted: Filter, sort: str, order: Order, after: tuple[Any, int] | None, limit: int
) -> tuple[list[Row], int, datetime]:
    """The time comes first: what dies later is not counted by it. A page that holds all needs no count."""
    now = database_now(connection)
    rows = dead_letter_list.page(connection, wanted, sort, order, after, limit)
    holds_all = after is None and len(rows) < limit
    return rows, len(rows) if holds_all else dead_letter_list.LISTING.count(connection, wanted), now


class Facets(ApiHandler):
    """What the filters offer: types, error classes and handlers of the dead letters there are."""

    @tornado.web.authenticated
    async def get(self) -> None:
        self.answer(facets=await self.read(dead_letter_list.facets, Filter()))


class Count(ApiHandler):
    """How many a decision would be about, and until when: those that died before ``now``."""

    needs = Role.READ

    @tornado.web.authenticated
    async def post(self) -> None:
        wanted = parameters.wanted(self.wanted_body().get("filter", {}))
        now, count = await self.read(
            lambda connection: (
                database_now(connection),
                dead_letter_list.LISTING.count(connection, wanted),
            )
        )
        self.answer(count=count, now=now)


class DeadLetterTimeline(ApiHandler):
    """One event, dead or not: payload, attempts with their tracebacks, timeline, and its payload before each edit."""

    @tornado.web.authenticated
    async def get(self, id_: str) -> None:
        event_id = parameters.event_id(id_)
        reveal = self.reveal("event", event_id=event_id)
        found = await self.read(_timeline, event_id)
        if found is None:
            raise tornado.web.HTTPError(404, reason="there is no event with this id")
        history, payload, edits = found
        self.answer(event=shown.event_timeline(history, payload, reveal), edits=shown.edits(edits, reveal))


def _timeline(
    connection: Connection, event_id: int
) -> tuple[timeline.Timeline, str, list[dict[str, Any]]] | None:
    timelines = timeline.find_timelines(connection, str(event_id))
    history = next((each for each in timelines if each.id == event_id), None)
    if history is None:
        return None
    return history, history.payload, decided.edits(connection, event_id)


class States(ApiHandler):
    """The states of some events now."""

    @tornado.web.authenticated
    async def get(self) -> None:
        ids = parameters.event_ids(self.get_query_argument("ids", "").split(","))
        events = await self.read(decided.progress, ids)
        self.answer(states={id_: asdict(event) for id_, event in events.items()})


class Progress(ApiHandler):
    """What became of the events that this user retried since a moment, by state."""

    @tornado.web.authenticated
    async def get(self) -> None:
        since = parameters.moment("since", self.get_query_argument("since", ""))
        self.answer(states=await self.read(decided.retried_states, self.user, since))


class Retry(ChangeHandler):
    """{"ids"} or {"filter", "until", "after_lane"}; with "rate", "since" and "first" at that rate."""

    async def post(self) -> None:
        body = self.wanted_body()
        since = parameters.moment("since", body["since"]) if body.get("since") else None
        retry_rate = self._rate(body, since)
        ids, last_lane = await self.read(chosen, dead_letter_list.LISTING, body)
        began = since or datetime.now(UTC)
        result = await self.run(dead_letters.retry, engine(), redis(), registry, ids, self.who, retry_rate)
        self.answer(**as_json(result), last_lane=last_lane, since=began)

    def _rate(self, body: dict[str, Any], since: datetime | None) -> RetryRate | None:
        rate = parameters.rate(body.get("rate"))
        if rate is None:
            return None
        return RetryRate(rate, since or datetime.now(UTC), parameters.whole("first", body.get("first", 0)))


class Discard(ChangeHandler):
    """{"ids"} or {"filter", "until", "after_lane"}, and a "reason"."""

    async def post(self) -> None:
        body = self.wanted_body()
        reason = parameters.reason(body)
        ids, last_lane = await self.read(chosen, dead_letter_list.LISTING, body)
        result = await self.run(dead_letters.discard, engine(), redis(), ids, self.who, reason)
        self.answer(**as_json(result), last_lane=last_lane)


class Edit(ChangeHandler):
    """{"payload": JSON as text, "reason"}: edit one event's payload and retry it."""

    max_body = MAX_PAYLOAD

    async def post(self, id_: str) -> None:
        body = self.wanted_body()
        payload = body.get("payload")
        if not isinstance(payload, str):
            raise parameters.BadRequest("payload must be JSON, as a text")
        reason = parameters.text("reason", body.get("reason", "")) or None
        event_id = parameters.event_id(id_)
        result = await self.run(dead_letters.edit, engine(), redis(), event_id, payload, self.who, reason)
        self.answer(**as_json(result))


class Reconcile(ChangeHandler):
    """Make the queue agree with the table now, and not at the next sweep."""

    async def post(self) -> None:
        added, removed = await self.run(dead_letters.reconcile, engine(), redis())
        self.answer(added=added, removed=removed)
