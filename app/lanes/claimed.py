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
    running: list[ClaimedLane] = field(default_factory=list)  # several where they run in a group
    finished: list[ClaimedLane] = field(default_factory=list)
    claimed_at: float = 0.0
    running_since: float = 0.0
    renew_until: float = 0.0  # running lanes' leases are renewed no longer: a hung handler loses its claim

    def add(self, lanes: Iterable[ClaimedLane], now: float) -> None:
        """Add lanes that were claimed just now, to be run in this order."""
        self.waiting.extend(lanes)
        self.claimed_at = now

    def start_next(self, now: float) -> ClaimedLane | None:
        """Begin to run the next waiting lane, beside those that run, and return it; None if none is left."""
        if not self.waiting:
            return None
        lane = self.waiting.popleft()
        self.renew_until = max(self.renew_until, now) if self.running else now
        self.running.append(lane)
        self.running_since = now
        return lane

    def end(self, lane: ClaimedLane) -> None:
        """Run a lane no longer."""
        self.running.remove(lane)
        self.finished.append(lane)

    def pop_not_running(self) -> list[ClaimedLane]:
        """Remove all lanes but those that run, and return them."""
        removed = [*self.waiting, *self.finished]
        self.waiting.clear()
        self.finished.clear()
        return removed

    def pop_all(self) -> list[ClaimedLane]:
        """Remove all lanes and return them."""
        running, self.running = self.running, []
        return [*running, *self.pop_not_running()]


def lanes_to_renew(now: float, claimed: Claimed) -> list[ClaimedLane]:
    """Return the lanes whose lease is to be renewed: all, without those that run after their deadline."""
    running = claimed.running if now < claimed.renew_until else []
    return [*claimed.waiting, *claimed.finished, *running]


def lanes_to_give_back(now: float, claimed: Claimed) -> list[ClaimedLane]:
    """Return the lanes that wait behind a slow one, and those that are finished; none while all is quick.

    The finished lanes too: a worker that was refused such a lane relies on its being looked at once more.
    """
    quick = now - claimed.running_since <= PATIENCE_SECONDS and now - claimed.claimed_at <= ROUND_SECONDS
    return [] if not claimed.running or quick else [*claimed.waiting, *claimed.finished]
