"""Pausing a lane of a conversation, so that a person can take over, and resuming it.

Promises: what arrives meanwhile is stored and shown, and waits in the lane; after the pause it is run in order, or
skipped as seen by a person, whichever the pause says. The event that is being run while somebody pauses is finished.
A paused lane stays paused until somebody resumes it, or until its time is over by Postgres's clock, whatever else
happens: it stays so if another name of its user makes it part of another conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine

from app.broker import wake
from app.errors import NeverdropError
from app.handlers import MAIN_LANE, WantedPause
from app.ingest import lanes_of
from app.lanes import pause_sql as sql
from config.logging import get_logger

MAX_NAMED = 5  # conversations that an ambiguous name is answered with
MAX_LISTED = 1000
BY_TIME = "time"  # who resumes a pause that is over

log = get_logger(__name__)


class ConversationError(NeverdropError):
    """A conversation cannot be told from what was given."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Whether a lane of a conversation is paused: since when and until when, by whom and why."""

    lane: int
    conversation: int
    key: str
    lane_name: str
    paused_at: datetime | None
    paused_by: str | None
    paused_until: datetime | None  # None: until a person resumes it
    paused_why: str | None
    skips: bool  # messages that come during the pause are skipped when it ends


def find(connection: Connection, name: str) -> int:
    """The lane ``main`` of a conversation by its number, any of its names, or a phone number or user id alone.

    Raises ConversationError when it is none's, or that of several.
    """
    name = name.strip()
    number = int(name) if name.isdecimal() and name.isascii() and len(name) < 19 else None
    lanes: Sequence[int] = connection.execute(sql.NAMED, {"name": name, "lane": number}).scalars().all()
    if not lanes:
        bare = {"name": name.removeprefix("+"), "at_most": MAX_NAMED}
        lanes = connection.execute(sql.NAMED_IN_PART, bare).scalars().all()
    if not lanes:
        raise ConversationError("there is no such conversation")
    if len(lanes) > 1:
        numbers = ", ".join(map(str, sorted(lanes)))
        raise ConversationError(f"several conversations go by that name; give the number of one: {numbers}")
    return lanes[0]


def lane_named(engine: Engine, conversation: int, name: str) -> int:
    """The lane of a conversation under a lane name. ConversationError for a name that no handler ever had."""
    with engine.begin() as connection:
        return _lane_named(connection, conversation, name)


def _lane_named(connection: Connection, conversation: int, name: str) -> int:
    if name == MAIN_LANE:
        return conversation
    known = connection.execute(sql.NAME_ID, {"name": name}).scalar()
    if known is None:
        raise ConversationError(f"no handler has run in a lane named {name!r}")
    return lanes_of(connection, [(conversation, known)])[conversation, known]


def state(connection: Connection, lane: int) -> Pause | None:
    """A lane's pause; None for one that is no conversation's."""
    found = connection.execute(sql.STATE, {"lane": lane}).mappings().first()
    return Pause(**found) if found else None


def paused(connection: Connection) -> list[Pause]:
    """The lanes that are paused, MAX_LISTED at most, the longest first."""
    return [Pause(**row) for row in connection.execute(sql.LIST, {"at_most": MAX_LISTED}).mappings()]


def pause(
    engine: Engine,
    lane: int,
    who: str,
    seconds: float | None = None,
    why: str | None = None,
    *,
    skips: bool = False,
) -> bool:
    """Let the lane's jobs wait; False: it is paused for as long already, or there is none.

    ``seconds``: it is resumed by itself then. ``skips``: messages that come meanwhile are skipped when it ends.
    """
    with engine.begin() as connection:
        return _pause(connection, lane, who, seconds, why, skips)


def pause_with_job(connection: Connection, lane: int, who: str, wanted: WantedPause) -> bool:
    """Pause inside the transaction of a job that runs in ``lane``; False as by ``pause``.

    ConversationError where there is nothing to pause.
    """
    conversation = connection.execute(sql.CONVERSATION_OF, {"lane": lane}).scalar()
    if conversation is None:
        raise ConversationError("the event belongs to no conversation that could be paused")
    target = lane if wanted.lane is None else _lane_named(connection, conversation, wanted.lane)
    return _pause(connection, target, who, wanted.seconds, wanted.why, wanted.skips)


def resume(engine: Engine, redis: "Redis", lane: int, who: str) -> bool:
    """Let them run again, in order; False: it is not paused.

    1. commit; 2. wake the lane. Dying in between costs time: the sweep finds the lane.
    """
    with engine.begin() as connection:
        rows = connection.execute(sql.RESUME_LANE, {"lane": lane}).all()
    _after(redis, rows, who)
    return bool(rows)


def resume_due(engine: Engine, redis: "Redis") -> int:
    """Resume the lanes whose pause is over, by Postgres's clock; how many. Steps as of ``resume``."""
    with engine.begin() as connection:
        rows = connection.execute(sql.RESUME_DUE).all()
    _after(redis, rows, BY_TIME)
    return len(rows)


def _pause(
    connection: Connection, lane: int, who: str, seconds: float | None, why: str | None, skips: bool
) -> bool:
    parameters = {"lane": lane, "who": who, "seconds": seconds, "why": why or None, "skips": skips}
    done = connection.execute(sql.PAUSE, parameters).rowcount == 1
    if done:
        log.info("conversation.paused", lane=lane, who=who, seconds=seconds)
    return done


def _after(redis: "Redis", rows: Sequence[Any], who: str) -> None:
    for row in rows:
        log.info("conversation.resumed", lane=row.lane, who=who, skipped=row.skipped)
    try:
        wake(redis, [row.lane for row in rows])
    except RedisError as error:
        log.warning("conversation.not_woken", lanes=len(rows), error=type(error).__name__)
