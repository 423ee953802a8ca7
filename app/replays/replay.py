"""Make the jobs of a replay, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, text

from app.broker import wake
from app.errors import NeverdropError
from app.handlers import Registry
from app.ingest import lanes_of, name_ids, new_lanes
from app.replays.choice import Choice, Pair, pairs
from app.stores import FIRST_NUMBERS, recordset
from app.views import SILENT_SECONDS
from config.logging import get_logger
from config.settings import settings

log = get_logger(__name__)

# One at a time decides whether there is room for another
LOCK_STARTS = text("SELECT pg_advisory_xact_lock(hashtextextended('neverdrop replays', 0))")
BEING_MADE = text("""
SELECT id, who FROM replays WHERE finished_at IS NULL AND stopped_at IS NULL
  AND advanced_at > clock_timestamp() - make_interval(secs => :silent)
ORDER BY id
""")
START = text("""
INSERT INTO replays (who, reason, chosen, events, sends_again, advanced_at)
VALUES (:who, :reason, :chosen, :events, :sends_again, clock_timestamp()) RETURNING id
""")
# Whoever stops it waits for the part that is being made, and takes it back too
GO_ON = text("SELECT stopped_at IS NULL FROM replays WHERE id = :id FOR UPDATE")
# A purge passes over what is locked; what it had in its hands is gone afterwards, and gets no job
LOCK_OUTCOMES = text("SELECT FROM outcomes WHERE event_id = ANY(:ids) ORDER BY id FOR SHARE")
ADD_JOBS = text("""
INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler, replay_id)
SELECT nextval('events_id_seq'), e.id, new.lane, new.name, e.occurred_at, e.delivery_id, e.position, clock_timestamp(),
       new.handler, :replay
FROM json_to_recordset(CAST(:jobs AS json)) AS new (event bigint, lane bigint, name smallint, handler text)
JOIN events e ON e.id = new.event
WHERE NOT EXISTS (SELECT FROM jobs j WHERE j.event_id = e.id AND j.lane_name_id = new.name)
  -- A part may have made the jobs of a whole burst already
  AND NOT EXISTS (
    SELECT FROM outcomes o WHERE o.event_id = e.id AND o.lane_name_id = new.name AND o.replay_id = :replay)
RETURNING lane
""")
OF_BURSTS = text("""
SELECT DISTINCT mate.event_id
FROM outcomes o JOIN joined_jobs j ON j.job_id = o.id JOIN joined_jobs m ON m.leader = j.leader
JOIN outcomes mate ON mate.id = m.job_id
WHERE o.event_id = ANY(:ids)
""")
# What was one list is the same list again, for handlers that join today
JOIN_AGAIN = text("""
WITH again AS (
  SELECT DISTINCT ON (new.id) new.id, first.id AS leader
  FROM jobs new
  JOIN outcomes o ON o.event_id = new.event_id AND o.lane_name_id = new.lane_name_id
  JOIN joined_jobs j ON j.job_id = o.id JOIN outcomes led ON led.id = j.leader
  JOIN jobs first ON first.event_id = led.event_id AND first.lane_name_id = led.lane_name_id
    AND first.replay_id = :replay AND first.attempts = 0
  WHERE new.event_id = ANY(:ids) AND new.replay_id = :replay AND new.attempts = 0 AND new.handler = ANY(:joining)
  ORDER BY new.id, j.leader DESC
), joined AS (
  UPDATE jobs SET joined_to = again.leader, holds = jobs.id = again.leader FROM again WHERE jobs.id = again.id
)
INSERT INTO joined_jobs (job_id, leader) SELECT id, leader FROM again
""")
COUNT = text("""
UPDATE replays SET jobs = jobs + :more, looked_at = looked_at + :events, advanced_at = clock_timestamp() WHERE id = :id
""")
FINISH = text("UPDATE replays SET finished_at = clock_timestamp() WHERE id = :id AND stopped_at IS NULL")
OUTSTANDING = text("""
SELECT count(*) FILTER (WHERE replay_id = :id), count(*) FROM jobs WHERE replay_id IS NOT NULL
""")
STAY = text(
    "UPDATE replays SET advanced_at = clock_timestamp() WHERE id = :id AND stopped_at IS NULL RETURNING id"
)
STOP = text("""
UPDATE replays SET stopped_at = clock_timestamp(), stopped_by = :who WHERE id = :id AND stopped_at IS NULL
  AND (finished_at IS NULL OR EXISTS (SELECT FROM jobs WHERE replay_id = :id AND attempts = 0))
RETURNING id
""")
# The others of a burst go with its first, which may have begun
TAKE_BACK = text("""
DELETE FROM jobs j WHERE replay_id = :id AND attempts = 0
  AND NOT EXISTS (SELECT FROM jobs leader WHERE leader.id = j.joined_to AND leader.attempts > 0)
""")


class TooManyReplays(NeverdropError):
    """MAX_REPLAYS go on already; the text says which, and what can be done."""


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that was begun."""

    id: int
    choice: Choice


def start(
    engine: Engine, choice: Choice, who: str, reason: str, events: int, *, sends_again: bool = False
) -> Replay:
    """Record who begins a replay, of how many events and why; no job is made yet. Raises TooManyReplays.

    ``sends_again``: what its handlers sent before leaves once more.
    """
    with engine.begin() as connection:
        _check_room(connection)
        parameters = {"who": who, "reason": reason, "chosen": choice.as_json(), "events": events}
        row = connection.execute(START, parameters | {"sends_again": sends_again})
        replay = Replay(row.scalar_one(), choice)
    log.info("replay.started", replay=replay.id, who=who, reason=reason, sends_again=sends_again)
    return replay


def finish(engine: Engine, replay: Replay) -> None:
    """Record that all jobs of a replay are made."""
    with engine.begin() as connection:
        connection.execute(FINISH, {"id": replay.id})


def make_jobs(
    engine: Engine, redis: "Redis", registry: Registry, replay: Replay, ids: Sequence[int]
) -> int | None:
    """Make the jobs of some events, in their order; return how many, None if somebody has stopped the replay.

    Events that were run together with these, in one burst, are run again with them.

    1. commit the jobs; 2. wake their lanes. Dying in between costs time: the sweep finds the lanes.
    """
    with engine.begin() as connection:
        if not connection.execute(GO_ON, {"id": replay.id}).scalar_one():
            return None
        num_events = len(ids)
        joined = connection.execute(OF_BURSTS, {"ids": list(ids)}).scalars()
        ids = list(dict.fromkeys([*ids, *joined]))
        connection.execute(LOCK_OUTCOMES, {"ids": ids})
        found = pairs(connection, registry, replay.choice, ids)
        parameters = {"replay": replay.id, "jobs": recordset(_rows(connection, found))}
        lanes = list(connection.execute(ADD_JOBS, parameters).scalars()) if found else []
        joining = [pair.handler.name for pair in found if pair.handler.join_seconds is not None]
        if joining:
            again = {"replay": replay.id, "ids": ids, "joining": joining}
            connection.execute(JOIN_AGAIN, again)
        connection.execute(COUNT, {"id": replay.id, "more": len(lanes), "events": num_events})
    try:
        wake(redis, lanes, bulk=True)
    except RedisError as error:
        log.warning("replay.not_woken", replay=replay.id, error=type(error).__name__)
    return len(lanes)


def stay(engine: Engine, replay: Replay) -> bool:
    """Say that whoever makes a replay's jobs waits and is alive; return whether nobody has stopped it."""
    with engine.begin() as connection:
        return connection.execute(STAY, {"id": replay.id}).scalar() is not None


def outstanding(engine: Engine, replay: Replay) -> tuple[int, int]:
    """Return how many jobs of a replay are not finished, and how many of all replays."""
    with engine.connect() as connection:
        own, of_all = connection.execute(OUTSTANDING, {"id": replay.id}).one()
        return own, of_all


def stop(engine: Engine, replay_id: int, who: str) -> int | None:
    """Stop a replay; return how many of its jobs were taken back, None if there is none that goes on.

    What has begun is finished, or dies as a job of any other kind.
    """
    with engine.begin() as connection:
        if connection.execute(STOP, {"id": replay_id, "who": who}).scalar() is None:
            return None
        taken_back = connection.execute(TAKE_BACK, {"id": replay_id}).rowcount
    log.info("replay.stopped", replay=replay_id, who=who, taken_back=taken_back)
    return taken_back


def _check_room(connection: Connection) -> None:
    """Refuse another replay where MAX_REPLAYS are being made; whoever asks next waits for this transaction's end."""
    connection.execute(LOCK_STARTS)
    being_made = connection.execute(BEING_MADE, {"silent": SILENT_SECONDS}).all()
    most = settings().max_replays
    if len(being_made) >= most:
        which = ", ".join(f"{row.id} by {row.who}" for row in being_made)
        raise TooManyReplays(
            f"{most} replays go on already ({which}), and MAX_REPLAYS allows no more: wait until one is done"
            f" (neverdrop replay --list), or stop one (neverdrop replay --stop {being_made[0].id})"
        )


def _rows(connection: Connection, found: Sequence[Pair]) -> list[dict[str, object]]:
    names = name_ids(connection, {pair.lane_name for pair in found})
    lanes = lanes_of(connection, {(pair.lane, names[pair.lane_name]) for pair in found if pair.named})
    alone = iter(new_lanes(connection, sum(not pair.named for pair in found)))
    return [
        {
            "event": pair.event_id,
            "lane": lanes[pair.lane, names[pair.lane_name]] if pair.named else _first(pair) + next(alone),
            "name": names[pair.lane_name],
            "handler": pair.handler.name,
        }
        for pair in found
    ]


def _first(pair: Pair) -> int:
    return FIRST_NUMBERS[pair.priority]
