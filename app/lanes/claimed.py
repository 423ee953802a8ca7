"""The lanes that one worker has claimed: waiting, running, finished. Pure: no I/O.

A worker claims several lanes at a time and runs one after the other. The other lanes do not wait for a handler that
turns out to be slow: ``lanes_to_give_back`` says which to leave to whoever is free.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.lanes.claims import Claim

# A lane waits behind others of its batch for at most this long; batches are made only where handlers were quick
PATIENCE_SECONDS = 0.25  # behind one lane
ROUND_SECONDS = 1.0  # behind several


@dataclass(frozen=True, slots=True)
class ClaimedLane:
    """A lane under its claim."""

    lane: int  # as it was asked for
    claim: "Claim"


@dataclass(slots=True)
class Claimed:
    """What a worker has claimed. Times are seconds of ``time.monotonic``."""

    waiting: deque[ClaimedLane] = field(default_factory=deque)
    running: ClaimedLane | None = None
    finished: list[ClaimedLane] = field(default_factory=list)
    claimed_at: float = 0.0
    running_since: float = 0.0
    renew_until: float = 0.0  # the running lane's lease is renewed no longer: a hung handler loses its claim

    def add(self, lanes: Iterable[ClaimedLane], now: float) -> None:
        """Add lanes that were claimed just now, to be run in this order."""
        self.waiting.extend(lanes)
        self.claimed_at = now

    def start_next(self, now: float) -> ClaimedLane | None:
        """Move on to the next waiting lane and return it; None if none is left."""
        self.finished += [self.running] if self.running else []
        self.running = self.waiting.popleft() if self.waiting else None
        self.running_since = self.renew_until = now
        return self.running

    def pop_not_running(self) -> list[ClaimedLane]:
        """Remove all lanes but the running one, and return them."""
        removed = [*self.waiting, *self.finished]
        self.waiting.clear()
        self.finished.clear()
        return removed

    def pop_all(self) -> list[ClaimedLane]:
        """Remove all lanes and return them."""
        running, self.running = self.running, None
        return [*([running] if running else []), *self.pop_not_running()]


def lanes_to_renew(now: float, claimed: Claimed) -> list[ClaimedLane]:
    """Return the lanes whose lease is to be renewed: all, without the running one after its deadline."""
    running = [claimed.running] if claimed.running is not None and now < claimed.renew_until else []
    return [*claimed.waiting, *claimed.finished, *running]


def lanes_to_give_back(now: float, claimed: Claimed) -> list[ClaimedLane]:
    """Return the lanes that wait behind a slow one, and those that are finished; none while all is quick.

    The finished lanes too: a worker that was refused such a lane relies on its being looked at once more.
    """
    quick = now - claimed.running_since <= PATIENCE_SECONDS and now - claimed.claimed_at <= ROUND_SECONDS
    return [] if claimed.running is None or quick else [*claimed.waiting, *claimed.finished]
