"""What runs next in a round: the next job of a lane, or the next lane; in a group the next of several lanes.

Looks one turn ahead, so that the end of one and the beginning of the next are one commit.
"""

import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from app.lanes.claimed import PATIENCE_SECONDS, ClaimedLane
from app.lanes.lease_renewer import LeaseRenewer
from app.lanes.rows import Head

GROUP_SIZE = 16  # lanes whose handlers share a transaction, at most


@dataclass(slots=True)
class Agenda:
    """The jobs of the lanes that a worker has claimed, in the order in which they run.

    ``may_share``: whether a job may run in a group. No job is begun after ``stop_at`` but the first of a lane.
    """

    renewer: LeaseRenewer
    heads: Mapping[int, Sequence[Head]]  # by the lane that was asked for
    stop_at: float
    may_share: Callable[[Head], bool]
    _left: dict[int, deque[Head]] = field(init=False)
    _running: list[ClaimedLane] = field(default_factory=list)
    _open: deque[ClaimedLane] = field(default_factory=deque)  # lanes that have begun and have more
    _planned: list[tuple[ClaimedLane, Head]] | None = None
    _since: float = 0.0

    def __post_init__(self) -> None:
        self._left = {lane: deque(heads) for lane, heads in self.heads.items()}

    def next(self, going_on: Collection[int] = (), begun: Collection[int] = ()) -> list[Head]:
        """End what runs, and return the jobs that run now, several for a group; none at the end.

        ``going_on``: the lanes of what ran that may have another job now. ``begun``: jobs that were begun already.
        """
        while True:
            self.look_ahead(going_on)
            planned, self._planned = self._planned or [], None
            fit = [
                turn
                for turn in planned
                if not self._ran(turn[0]) or turn[0].lane in going_on or turn[1].id in begun
            ]
            for lane, _ in planned:
                if all(lane is not other for other, _ in fit):  # its job failed after all
                    self.renewer.end(lane)
            self._running = [lane for lane, _ in fit]
            if fit or not planned:
                self._since = time.monotonic()
                return [head for _, head in fit]

    def look_ahead(self, going_on: Collection[int]) -> list[Head]:
        """Return the jobs that run next if these lanes go on. What was said once is kept until ``next``."""
        if self._planned is None:
            self._leave_lanes(going_on)
            self._planned = self._plan()
        return [head for _, head in self._planned]

    def _leave_lanes(self, going_on: Collection[int]) -> None:
        """A lane is left where its jobs were slow, and when it is time: others wait."""
        now = time.monotonic()
        quick = now < self.stop_at and now - self._since <= PATIENCE_SECONDS
        for lane in self._running:
            if quick and lane.lane in going_on and self._left[lane.lane]:
                self._open.append(lane)
            else:
                self.renewer.end(lane)

    def _plan(self) -> list[tuple[ClaimedLane, Head]]:
        planned: list[tuple[ClaimedLane, Head]] = []
        while len(planned) < GROUP_SIZE:
            lane = self._open.popleft() if self._open else self.renewer.start_next()
            if lane is None:
                break
            head = self._left[lane.lane][0]
            shares = self.may_share(head)
            if planned and not shares:
                self._open.appendleft(lane)
                break
            planned.append((lane, self._left[lane.lane].popleft()))
            if not shares:
                break
        return planned

    def _ran(self, lane: ClaimedLane) -> bool:
        return any(lane is other for other in self._running)
