"""Pausing a lane of a conversation, so that a person can take over, and resuming it.

Promises: what arrives meanwhile is stored and shown, and waits in the lane; after ``resume`` it is run in order. The
event that is being run while somebody pauses is finished. A paused lane stays paused until somebody resumes
it, whatever else happens: it stays so if another name of its user makes it part of another conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, text

from app.broker import wake
from app.errors import NeverdropError
from app.handlers import MAIN_LANE
from app.ingest import lanes_of
from config.logging import get_logger

MAX_NAMED = 5  # conversations that an ambiguous name is answered with

log = get_logger(__name__)


class ConversationError(NeverdropError):
    """A conversation cannot be told from what was given."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Whether a lane of a conversation is paused, since when and by whom."""

    lane: int
    key: str
    lane_name: str
    paused_at: datetime | None
    paused_by: str | None


# A merged lane's pause counts for the one that it became a part of
STATE = text("""
SELECT l.id AS lane, c.key,
  (SELECT name FROM lane_names n WHERE n.id = l.lane_name_id) AS lane_name,
  (SELECT min(p.paused_at) FROM lanes p WHERE l.id IN (p.id, p.merged_into)) AS paused_at,
  (SELECT p.paused_by FROM lanes p WHERE l.id IN (p.id, p.merged_into) AND p.paused_at IS NOT NULL
   ORDER BY p.paused_at LIMIT 1) AS paused_by
FROM lanes l JOIN conversations c ON c.id = l.conversation_id
WHERE l.id = (SELECT root_lane(:lane))
""")
PAUSE = text("""
UPDATE lanes SET paused_at = clock_timestamp(), paused_by = :who
WHERE id = :lane AND NOT EXISTS (
  SELECT FROM lanes p WHERE :lane IN (p.id, p.merged_into) AND p.paused_at IS NOT NULL
)
""")
RESUME = text("""
UPDATE lanes SET paused_at = NULL, paused_by = NULL
WHERE :lane IN (id, merged_into) AND paused_at IS NOT NULL
""")
NAMED = text("""
SELECT DISTINCT coalesce(c.merged_into, c.id) AS lane
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
WHERE a.key = :name
UNION
SELECT root_lane(:lane) WHERE root_lane(:lane) IS NOT NULL
""")
# Only a person who types a bare phone number or user id comes here: all names are read
NAMED_IN_PART = text("""
SELECT DISTINCT coalesce(c.merged_into, c.id) AS lane
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
WHERE right(a.key, length(:name) + 1) = '/' || :name
LIMIT :at_most
""")


NAME_ID = text("SELECT id FROM lane_names WHERE name = :name")


def find(connection: Connection, name: str) -> int:
    """The lane ``main`` of a conversation by its number, any of its names, or a phone number or user id alone.

    Raises ConversationError when it is none's, or that of several.
    """
    name = name.strip()
    number = int(name) if name.isdecimal() and name.isascii() and len(name) < 19 else None
    lanes: Sequence[int] = connection.execute(NAMED, {"name": name, "lane": number}).scalars().all()
    if not lanes:
        bare = {"name": name.removeprefix("+"), "at_most": MAX_NAMED}
        lanes = connection.execute(NAMED_IN_PART, bare).scalars().all()
    if not lanes:
        raise ConversationError("there is no such conversation")
    if len(lanes) > 1:
        numbers = ", ".join(map(str, sorted(lanes)))
        raise ConversationError(f"several conversations go by that name; give the number of one: {numbers}")
    return lanes[0]


def lane_named(engine: Engine, conversation: int, name: str) -> int:
    """The lane of a conversation under a lane name. ConversationError for a name that no handler ever had."""
    if name == MAIN_LANE:
        return conversation
    with engine.begin() as connection:
        known = connection.execute(NAME_ID, {"name": name}).scalar()
        if known is None:
            raise ConversationError(f"no handler has run in a lane named {name!r}")
        return lanes_of(connection, [(conversation, known)])[conversation, known]


def state(connection: Connection, lane: int) -> Pause | None:
    """A lane's pause; None for one that is no conversation's."""
    found = connection.execute(STATE, {"lane": lane}).mappings().first()
    return Pause(**found) if found else None


def pause(engine: Engine, lane: int, who: str) -> bool:
    """Let the lane's jobs wait; False: it is paused already, or there is none."""
    with engine.begin() as connection:
        paused = connection.execute(PAUSE, {"lane": lane, "who": who}).rowcount == 1
    if paused:
        log.info("conversation.paused", lane=lane, who=who)
    return paused


def resume(engine: Engine, redis: "Redis", lane: int, who: str) -> bool:
    """Let them run again, in order; False: it is not paused.

    1. commit; 2. wake the lane. Dying in between costs time: the sweep finds the lane.
    """
    with engine.begin() as connection:
        resumed = connection.execute(RESUME, {"lane": lane}).rowcount > 0
    if resumed:
        log.info("conversation.resumed", lane=lane, who=who)
        try:
            wake(redis, [lane])
        except RedisError as error:
            log.warning("conversation.not_woken", lane=lane, error=type(error).__name__)
    return resumed
