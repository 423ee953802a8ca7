"""Bursts: messages that a user sends within moments of each other, run by one attempt.

Promises: which jobs a burst has is fixed and stored before its attempt begins, and all of them end with it. Relies on
the caller, who runs a lane under its claim.
"""

from app.handlers import Event
from app.lanes import burst_sql
from app.lanes.burst_sql import BURST, MAX_JOINED
from app.stores import Prepared

__all__ = ["BURST", "MAX_JOINED", "events_of", "finish_members", "join"]


def join(prepared: Prepared, job_id: int, lane: int, seconds: float) -> bool | None:
    """Fix the burst that the first job of a lane begins; False if it has to wait for further messages.

    None if the job is not the first of its lane any more, or its burst is fixed already. A sweep wakes the lane of one
    that waits.
    """
    ((is_first, joined),) = prepared.rows(burst_sql.JOIN, job_id, lane, seconds)
    return joined > 0 if is_first else None


def events_of(prepared: Prepared, job_id: int) -> tuple[Event, ...]:
    """Return the events of the burst that a job begins, in their order; of one that is alone its own."""
    return tuple(Event(*row) for row in prepared.rows(burst_sql.MEMBERS, job_id))


def finish_members(prepared: Prepared, job_id: int, attempt: int) -> None:
    """Inside the transaction in which its first job is done, and before that: the others are done too."""
    prepared.rows(burst_sql.FINISH_MEMBERS, job_id, attempt)
