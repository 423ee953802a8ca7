"""Finds a worker's process in the middle of an attempt, or a send under way, so that a fault interrupts something.

What it cannot see: an attempt that ends between the look and the fault. So it takes only those that are slow already.
Which sender has a send in its hands is not known either.
"""

from contextlib import suppress

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.outbox.statements import LEASE_SECONDS

SLOW_SECONDS = 0.1  # what has run for so long is one of the slow handlers, most likely
MAX_SECONDS = 2.0  # and these end soon after

UNDER_WAY = text("""
SELECT split_part(worker, '/', 2)::int FROM job_attempts
WHERE finished_at IS NULL AND worker LIKE :name || '@%'
  AND started_at BETWEEN clock_timestamp() - make_interval(secs => :most)
                     AND clock_timestamp() - make_interval(secs => :least)
""")

SENDING = text("""
SELECT EXISTS (
  SELECT FROM sends WHERE state = 'sending' AND held_until < clock_timestamp() + make_interval(secs => :left))
""")

FORWARDING = text("""
SELECT EXISTS (
  SELECT FROM jobs WHERE lane_name_id < 0 AND worker LIKE '%/' || :pid
    AND begun_at < clock_timestamp() - make_interval(secs => :least))
""")


def busy(engine: Engine, name: str) -> set[int]:
    """Return the processes of a worker that are in the middle of a slow attempt; none while nobody can tell."""
    with suppress(SQLAlchemyError), engine.connect() as connection:
        parameters = {"name": name, "least": SLOW_SECONDS, "most": MAX_SECONDS}
        return set(connection.execute(UNDER_WAY, parameters).scalars())
    return set()


def sending(engine: Engine) -> bool:
    """Return whether some sender waits for a slow answer; not while nobody can tell."""
    with suppress(SQLAlchemyError), engine.connect() as connection:
        return bool(connection.execute(SENDING, {"left": LEASE_SECONDS - SLOW_SECONDS}).scalar())
    return False


def forwarding(engine: Engine, pid: int) -> bool:
    """Return whether a forwarder waits for a slow answer of a target; not while nobody can tell."""
    with suppress(SQLAlchemyError), engine.connect() as connection:
        return bool(connection.execute(FORWARDING, {"pid": str(pid), "least": SLOW_SECONDS}).scalar())
    return False
