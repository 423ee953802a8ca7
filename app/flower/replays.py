"""The replay page: events that a person has run again, as ``neverdrop replay`` does."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import tornado.web
from sqlalchemy import Connection

from app import replays
from app.flower import parameters
from app.flower.base import ApiHandler, ChangeHandler, Page
from app.flower.parameters import BadRequest
from app.handlers import registry
from app.lanes import pauses
from app.replays import Choice, Replay
from app.stores import engine, redis
from app.views import masked_text
from app.views import replays as views
from config.flower_roles import Role
from config.logging import get_logger

MAX_LISTED = 50
TEXTS = ("kind", "type", "lane", "handler")
TIMES = ("since", "until")
MEMBERS = {*TEXTS, *TIMES, "conversation", "unhandled"}

log = get_logger(__name__)


class ReplaysPage(Page):
    needs = Role.READ

    @tornado.web.authenticated
    async def get(self) -> None:
        self.show("replays", handlers=sorted({(each.lane, each.name) for _, each in registry.items()}))


class ReplaysTable(ApiHandler):
    """The newest replays."""

    needs = Role.READ

    @tornado.web.authenticated
    async def get(self) -> None:
        found = await self.read(views.find, MAX_LISTED)
        self.answer(replays=[_shown(each) for each in found])


class ReplayCount(ChangeHandler):
    """{"choice"}: what a replay would do."""

    async def post(self) -> None:
        choice = self.wanted_body().get("choice")
        ids, counts = await self.read(_counted, choice)
        jobs = [{"lane": lane, "handler": name, "jobs": n} for (lane, name), n in sorted(counts.jobs.items())]
        self.answer(events=len(ids), jobs=jobs, sends=counts.sends)


class ReplayStart(ChangeHandler):
    """{"choice", "reason", "rate", "send_again"}: {"replay"}; its jobs are made in a thread of this process."""

    async def post(self) -> None:
        body = self.wanted_body()
        why = parameters.reason(body)
        rate = parameters.rate(body.get("rate"))
        choice, ids = await self.read(_chosen, body.get("choice"))
        begun = await self.run(
            replays.start,
            engine(),
            choice,
            self.who,
            why,
            len(ids),
            sends_again=body.get("send_again") is True,
        )
        threading.Thread(target=_run, args=(begun, ids, rate), name=f"replay-{begun.id}", daemon=True).start()
        self.answer(replay=begun.id, events=len(ids))


class ReplayStop(ChangeHandler):
    """{"id"}: {"taken_back"}."""

    async def post(self) -> None:
        id_ = parameters.event_id(self.wanted_body().get("id"))
        taken_back = await self.run(replays.stop, engine(), id_, self.who)
        if taken_back is None:
            raise BadRequest(f"there is no replay {id_} that goes on")
        self.answer(taken_back=taken_back)


def _shown(replay: views.ShownReplay) -> dict[str, Any]:
    return asdict(replay) | {"chosen": json.loads(replay.chosen), "reason": masked_text(replay.reason)}


def wanted(connection: Connection, given: Any) -> Choice:
    """Read a choice; empty texts are any."""
    if not isinstance(given, Mapping) or set(given) - MEMBERS:
        raise BadRequest(f"a choice has {', '.join(sorted(MEMBERS))}")
    texts = {name: parameters.text(name, given[name]) or None for name in TEXTS if given.get(name)}
    times = {name: parameters.moment(name, given[name]) for name in TIMES if given.get(name)}
    conversation = parameters.text("conversation", given.get("conversation") or "")
    number = pauses.find(connection, conversation) if conversation else None
    return Choice(
        since=times.get("since"),
        until=times.get("until"),
        conversation=number,
        unhandled=given.get("unhandled") is True,
        **texts,
    )


def _chosen(connection: Connection, given: Any) -> tuple[Choice, list[int]]:
    choice = wanted(connection, given)
    return choice, replays.chosen(connection, choice)


def _counted(connection: Connection, given: Any) -> tuple[list[int], replays.ReplayCounts]:
    choice, ids = _chosen(connection, given)
    return ids, replays.count(connection, registry, choice, ids)


def _run(begun: Replay, ids: Sequence[int], rate: float | None) -> None:
    """Make the jobs; a store that goes away ends it, and the page shows a replay that nobody continues."""
    try:
        replays.run(engine(), redis(), registry, begun, ids, rate)
    except Exception as error:
        log.exception("replay.broken_off", replay=begun.id, error=type(error).__name__)
