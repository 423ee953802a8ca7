"""The Pipeline page's table of events that wait for their next attempt, and what a person decides about them."""

import tornado.web

from app import dead_letters
from app.flower import parameters
from app.flower import serializers as shown
from app.flower.base import ApiHandler, ChangeHandler
from app.flower.decisions import as_json, chosen
from app.stores import database_now, engine, redis
from app.views import held as held_list
from config.flower_roles import Role

MAX_SHOWN = 1000


class HeldTable(ApiHandler):
    """{"sort", "order", "limit"}: the first so many, and how many there are."""

    needs = Role.READ

    @tornado.web.authenticated
    async def post(self) -> None:
        body = self.wanted_body()
        sort, order = parameters.sorting(
            body.get("sort", "due"), body.get("order", "ascending"), held_list.SORTED_BY
        )
        limit = min(parameters.page_size(body.get("limit", 50)), MAX_SHOWN)
        reveal = self.reveal("held")
        found, total = await self.read(held_list.table, sort, order, limit)
        self.answer(held=[shown.held(each, reveal) for each in found], total=total)


class HeldCount(ApiHandler):
    """How many a decision would be about, and until when: those that failed before ``now``."""

    needs = Role.READ

    @tornado.web.authenticated
    async def post(self) -> None:
        filter_ = parameters.wanted(self.wanted_body().get("filter", {}))
        now, count = await self.read(
            lambda connection: (database_now(connection), held_list.LISTING.count(connection, filter_))
        )
        self.answer(count=count, now=now)


class HeldRetry(ChangeHandler):
    """{"ids"} or {"filter", "until", "after_lane"}: due now."""

    async def post(self) -> None:
        ids, last_lane = await self.read(chosen, held_list.LISTING, self.wanted_body())
        result = await self.run(dead_letters.retry_held, engine(), redis(), ids, self.who)
        self.answer(**as_json(result), last_lane=last_lane)


class HeldSkip(ChangeHandler):
    """{"ids"} or {"filter", "until", "after_lane"}, and a "reason"."""

    async def post(self) -> None:
        body = self.wanted_body()
        reason = parameters.reason(body)
        ids, last_lane = await self.read(chosen, held_list.LISTING, body)
        result = await self.run(dead_letters.skip_held, engine(), redis(), ids, self.who, reason)
        self.answer(**as_json(result), last_lane=last_lane)
