"""Targets that are paused: by a person, or by an answer 410. Their jobs wait, and nothing is posted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from app.handlers import TARGET_LANE
from config.logging import get_logger

GONE = "it answered 410, so nothing is sent there until it is resumed (neverdrop target resume)"

PAUSE = text("""
INSERT INTO paused_targets (name, who, reason) VALUES (:name, :who, :reason) ON CONFLICT (name) DO NOTHING
RETURNING name
""")
RESUME = text("DELETE FROM paused_targets WHERE name = :name RETURNING name")
MAX_COUNTED = 1_000_000
WAITING = text("""
SELECT handler, count(*) FROM (SELECT handler FROM jobs WHERE lane_name_id < 0 LIMIT :most) AS j GROUP BY handler
""")
ALL = text("SELECT name, since, who, reason FROM paused_targets ORDER BY name")

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TargetPause:
    """Since when a target is paused; ``who`` None: its answer 410 did it."""

    name: str
    since: datetime
    who: str | None
    reason: str | None


def pause(engine: Engine, name: str, who: str, reason: str | None) -> bool:
    """Pause a target; False: it is paused already. What is under way is finished."""
    with engine.begin() as connection:
        parameters = {"name": name, "who": who, "reason": reason}
        paused = connection.execute(PAUSE, parameters).scalar() is not None
    if paused:
        log.info("target.paused", target=name, who=who, reason=reason)
    return paused


def stop_gone(engine: Engine, name: str) -> None:
    """Pause a target that answered that it is gone; the alert ``targets_stopped`` says so."""
    with engine.begin() as connection:
        stopped = connection.execute(PAUSE, {"name": name, "who": None, "reason": GONE}).scalar() is not None
    if stopped:
        log.error("target.stopped", target=name, reason=GONE)


def resume(engine: Engine, name: str, who: str) -> bool:
    """Let a target go on; False: it is not paused."""
    with engine.begin() as connection:
        resumed = connection.execute(RESUME, {"name": name}).scalar() is not None
    if resumed:
        log.info("target.resumed", target=name, who=who)
    return resumed


def all_paused(connection: Connection) -> Sequence[TargetPause]:
    """Return every target that is paused."""
    return [TargetPause(*row) for row in connection.execute(ALL)]


def waiting(connection: Connection) -> dict[str, int]:
    """Return how many jobs of each target are not finished, MAX_COUNTED at most in all."""
    rows = connection.execute(WAITING, {"most": MAX_COUNTED})
    return {handler.removeprefix(TARGET_LANE): count for handler, count in rows}
