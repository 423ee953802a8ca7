"""What can become of one step in a lane. Pure: no I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one step in a lane."""

    EMPTY = "empty"  # nothing is left to run
    WAITING = "waiting"  # the first event is not due yet; a sweep wakes the lane
    GATHERING = "gathering"  # further messages may belong to its burst; a sweep wakes the lane
    PAUSED = "paused"  # its events wait until a person resumes the conversation
    UNKNOWN_HANDLER = "unknown_handler"  # its handler is not of this release: left for a worker that knows it
    CLAIMED_ELSEWHERE = "claimed_elsewhere"  # another worker runs it, and goes on when done
    AWAITING_EARLIER = "awaiting_earlier"  # an earlier delivery is about to be stored
    # Another attempt got there first, or our claim ran out: nothing of ours was committed
    STALE_ATTEMPT = "stale_attempt"
    INTERRUPTED = "interrupted"  # it could not be run or recorded; a sweep wakes the lane
    DONE = "done"
    FAILED = "failed"
    DEAD = "dead"
    STALE = "stale"  # it was older than its handler allows, or of no use any more: no handler was to run it


# After these the lane may have a next event to run at once
HAS_MORE = {Outcome.DONE, Outcome.DEAD, Outcome.STALE, Outcome.STALE_ATTEMPT, Outcome.AWAITING_EARLIER}


@dataclass(frozen=True, slots=True)
class Step:
    """One look at a lane, and one attempt at most."""

    lane: int
    outcome: Outcome
    job_id: int | None = None
    error: str | None = None
    skipped: bool = False  # it failed, and its handler lets the lane go on meanwhile
    delivery_id: str | None = None  # of the event that Redis refused a claim

    @property
    def has_more(self) -> bool:
        """Whether the lane may have an event to run now, so that it is worth waking again."""
        return self.outcome in HAS_MORE or self.skipped
