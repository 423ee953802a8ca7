"""What a person decides on the Pipeline page about events that wait for their next attempt."""

import tornado.web

from app import dead_letters
from app.flower import parameters
from app.flower.base import ApiHandler, ChangeHandler
from app.flower.decisions import as_json, chosen
from app.stores import database_now, engine, redis
from app.views import held as held_list
from config.flower_roles import Role


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
