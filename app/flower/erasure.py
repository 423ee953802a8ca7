"""The page on which a conversation's person is erased, by whoever has the role ``erase``."""

from contextlib import suppress
from dataclasses import asdict
from typing import Any

import tornado.web
from redis.exceptions import RedisError

from app import dead_letters, erasure
from app.erasure import Erased, ErasedPerson
from app.flower import parameters
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.stores import engine, redis
from config.flower_roles import Role


class ErasurePage(Page):
    @tornado.web.authenticated
    async def get(self, lane: str) -> None:
        self.show("erasure", lane=parameters.event_id(lane), erase_refusal=self.refusal_of(Role.ERASE))


class ErasureCount(ApiHandler):
    """How much would be erased."""

    @tornado.web.authenticated
    async def get(self, lane: str) -> None:
        person = await self.read(erasure.of_conversation, parameters.event_id(lane))
        self.answer(**asdict(await self.run(erasure.count, engine(), person)))


class Erase(ChangeHandler):
    """{"reason"}: what was erased, and ``left``: each place that names the person still."""

    needs = Role.ERASE

    async def post(self, lane: str) -> None:
        reason = parameters.text("reason", self.wanted_body().get("reason") or "") or None
        person = await self.read(erasure.of_conversation, parameters.event_id(lane))
        erased, left = await self.run(_erase, person, self.who, reason)
        self.answer(**asdict(erased), left=left)


def _erase(person: ErasedPerson, who: str, reason: str | None) -> tuple[Erased, list[dict[str, Any]]]:
    erased = erasure.erase(engine(), redis(), person, who, reason)
    with suppress(RedisError):  # or the next sweep does it
        dead_letters.reconcile(engine(), redis())
    return erased, [asdict(place) for place in erasure.look(engine(), redis(), person)]
