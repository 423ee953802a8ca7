"""What the statements of a lane take and return: heads, begun attempts, failures."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Head:
    """One of the first jobs of a lane, as it stands in the tables, with its event."""

    asked: int  # the lane that was asked for; it may have been merged into ``lane``
    lane: int
    merged: list[int]  # lanes that were merged into this one: their claims are taken too
    paused: bool  # by a person; a lane that was merged into this one counts too
    due: bool
    settled: bool  # no earlier delivery waits in the fallback store
    attempts: int
    attempts_at_retry: int
    delivery_id: str
    id: int
    event_id: int
    lane_name: str
    handler: str  # that was stored with the job
    replayed: bool
    key: str
    kind: str
    type: str
    conversation: str | None
    occurred_at: datetime
    accepted_at: datetime
    payload: str
    expected_handler: str | None = None  # of the answer that the lane waits for
    turned_by: int | None = None  # the job that made the last turn of the lane's dialog
    after_turn: bool = True  # its place is after that of the last turn
    joined_to: int | None = None  # the first job of its burst, once that is fixed
    sends_again_as: int | None = None  # the replay for which what was sent before leaves again


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that was counted."""

    number: int
    number_at_retry: int  # at the last retry by a person, and more for each that cost nothing
    late: bool
    before_lost: bool  # the attempt before has no end: its worker died, or lost its claim


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt ended that did not succeed."""

    dead: bool
    after_seconds: float | None  # until the next attempt; None where there is none
    blocks_lane: bool
    error: str
    traceback: str
    costs_nothing: bool = False  # the policy does not count the attempt
