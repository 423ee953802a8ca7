"""End what would wait for ever: a sender that died, an unknown that no status settles, a status that does not come."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Engine, text

from app.stores import Prepared

# ``sending`` whose sender is gone may have been sent; ``unknown`` no longer holds up its conversation;
# ``accepted`` waited long enough for the status that the next send wants
END_WAITS = """
PREPARE outbox_end_waits (int) AS
WITH ended AS (
  SELECT id FROM sends WHERE held_until < clock_timestamp() ORDER BY held_until LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE sends s SET
  state = CASE WHEN s.state = 'sending' THEN 'unknown' ELSE s.state END,
  unsure = s.unsure OR s.state = 'sending',
  error = CASE WHEN s.state = 'sending' THEN 'its sender died, or could not write down the answer' ELSE s.error END,
  unknown_since = CASE WHEN s.state = 'sending' THEN clock_timestamp() ELSE s.unknown_since END,
  holds = s.state IN ('sending', 'queued'),
  held_until = CASE WHEN s.state = 'sending' THEN clock_timestamp() + interval '30 s' END
FROM ended WHERE s.id = ended.id
RETURNING s.id
"""

GIVE_UP = """
PREPARE outbox_give_up (float8, int) AS
WITH old AS (
  SELECT id FROM sends
  WHERE state = 'unknown' AND unknown_since < clock_timestamp() - make_interval(secs => $1)
  LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE sends s SET state = 'dead', holds = false, held_until = NULL, finished_at = clock_timestamp(),
  error = concat('not known whether it was sent: ', s.error)
FROM old WHERE s.id = old.id
RETURNING s.id
"""

LOST = text("""
UPDATE sends SET held_until = clock_timestamp()
WHERE state = 'sending' AND held_until > clock_timestamp() AND split_part(sender, '/', 1) = :worker
  AND (CAST(:processes AS text[]) IS NULL OR split_part(sender, '/', 2) = ANY (:processes))
RETURNING id
""")
DUE = text(
    "SELECT EXISTS (SELECT FROM sends WHERE holds AND state = 'queued' AND due_at <= clock_timestamp())"
)
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep found."""

    died: list[int]  # unknown for too long: dead letters now
    due: bool  # something may leave


def end_leases(engine: Engine, worker: str, processes: Collection[int] | None = None) -> list[int]:
    """End the leases of what dead processes of a worker (None: all) were posting; the next sweep ends the sends.

    One that lives after all still records its answer, and what follows in the conversation waits for longer than that
    takes.
    """
    names = None if processes is None else [str(process) for process in processes]
    with engine.begin() as connection:
        return list(connection.execute(LOST, {"worker": worker, "processes": names}).scalars())


def sweep(engine: Engine, unknown_seconds: float) -> Swept:
    """End waits that are over, make old unknowns dead letters, and see whether something may leave."""
    with engine.begin() as connection:
        Prepared(connection).rows(END_WAITS, PAGE)
    with engine.begin() as connection:
        died = [id_ for (id_,) in Prepared(connection).rows(GIVE_UP, unknown_seconds, PAGE)]
    with engine.connect() as connection:
        return Swept(died, bool(connection.execute(DUE).scalar()))
