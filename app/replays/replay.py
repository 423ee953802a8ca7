"""Make the jobs of a replay, part by part."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, text

from app.broker import wake
from app.handlers import Registry
from app.ingest import lanes_of, name_ids, new_lanes
from app.replays.choice import Choice, Pair, pairs
from app.stores import recordset
from config.logging import get_logger

log = get_logger(__name__)

START = text("""
INSERT INTO replays (who, reason, chosen) VALUES (:who, :reason, :chosen) RETURNING id
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
RETURNING lane
""")
COUNT = text("UPDATE replays SET jobs = jobs + :more WHERE id = :id")
OUTSTANDING = text("SELECT count(*) FROM jobs WHERE replay_id = :id")
STOP = text("""
UPDATE replays SET stopped_at = clock_timestamp(), stopped_by = :who WHERE id = :id AND stopped_at IS NULL RETURNING id
""")
TAKE_BACK = text("DELETE FROM jobs WHERE replay_id = :id AND attempts = 0")


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay that was begun."""

    id: int
    choice: Choice


def start(engine: Engine, choice: Choice, who: str, reason: str) -> Replay:
    """Record who begins a replay, of what and why; no job is made yet."""
    with engine.begin() as connection:
        parameters = {"who": who, "reason": reason, "chosen": choice.as_json()}
        replay = Replay(connection.execute(START, parameters).scalar_one(), choice)
    log.info("replay.started", replay=replay.id, who=who, reason=reason)
    return replay


def make_jobs(
    engine: Engine, redis: "Redis", registry: Registry, replay: Replay, ids: Sequence[int]
) -> int | None:
    """Make the jobs of some events, in their order; return how many, None if somebody has stopped the replay.

    1. commit the jobs; 2. wake their lanes. Dying in between costs time: the sweep finds the lanes.
    """
    with engine.begin() as connection:
        if not connection.execute(GO_ON, {"id": replay.id}).scalar_one():
            return None
        connection.execute(LOCK_OUTCOMES, {"ids": list(ids)})
        found = pairs(connection, registry, replay.choice, ids)
        parameters = {"replay": replay.id, "jobs": recordset(_rows(connection, found))}
        lanes = list(connection.execute(ADD_JOBS, parameters).scalars()) if found else []
        connection.execute(COUNT, {"id": replay.id, "more": len(lanes)})
    try:
        wake(redis, lanes)
    except RedisError as error:
        log.warning("replay.not_woken", replay=replay.id, error=type(error).__name__)
    return len(lanes)


def outstanding(engine: Engine, replay: Replay) -> int:
    """Return how many jobs of a replay are not finished."""
    with engine.connect() as connection:
        return int(connection.execute(OUTSTANDING, {"id": replay.id}).scalar_one())


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


def _rows(connection: Connection, found: Sequence[Pair]) -> list[dict[str, object]]:
    names = name_ids(connection, {pair.handler.lane for pair in found})
    lanes = lanes_of(connection, {(pair.lane, names[pair.handler.lane]) for pair in found if pair.named})
    alone = iter(new_lanes(connection, sum(not pair.named for pair in found)))
    return [
        {
            "event": pair.event_id,
            "lane": lanes[pair.lane, names[pair.handler.lane]] if pair.named else next(alone),
            "name": names[pair.handler.lane],
            "handler": pair.handler.name,
        }
        for pair in found
    ]
