"""Keeps the claims of a worker while it is in a handler, and lets go of those that it need not have.

A worker takes several lanes at a time, and runs one after the other. A thread beside it renews their leases, for
at most as long as the handler that runs may take: a hung one loses its claim. The other lanes do not wait for a
handler that turns out to be slow: they are given to whoever is free.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from redis.exceptions import RedisError

from app.lanes.claims import Claim, Claims
from config.logging import get_logger

RENEWALS_PER_LEASE = 3
# Conversations do not wait for each other: only where all handlers have been quick lately, and for this long at most
PATIENCE_SECONDS = 0.25  # behind one event
ROUND_SECONDS = 1.0  # behind several

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A lane under its claim."""

    lane: int  # as it was asked for
    claim: Claim


class Keeper:
    """Of one worker: what it runs now, and what it holds for afterwards. A context manager, for one thread beside it.

    ``hand_on`` wakes lanes.
    """

    def __init__(self, claims: Claims, hand_on: Callable[[Sequence[int]], object]) -> None:
        self._claims = claims
        self._hand_on = hand_on
        self._changing = threading.Lock()  # the fields below
        self._waiting: deque[Held] = deque()
        self._running: Held | None = None
        self._finished: list[Held] = []
        self._held_since = 0.0
        self._since = 0.0
        self._until = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="claim-keeper", daemon=True)

    def __enter__(self) -> "Keeper":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Release whatever is left."""
        self._ended.set()
        self.release()

    def hold(self, held: Iterable[Held]) -> None:
        """Claims that were taken just now, to be run in this order."""
        with self._changing:
            self._waiting.extend(held)
            self._held_since = time.monotonic()

    def next(self) -> Held | None:
        """The next to be run; None if there is none left that was not handed on."""
        with self._changing:
            self._finished += [self._running] if self._running else []
            self._running = self._waiting.popleft() if self._waiting else None
            self._since = time.monotonic()
            self._until = self._since
            return self._running

    def release(self) -> None:
        """Give back everything that is still held."""
        with self._changing:
            running, self._running = self._running, None
            left = [*([running] if running else []), *self._others()]
        self._claims.release([held.claim for held in left])

    def allow(self, seconds: float) -> None:
        """Renew what runs for this long from now on."""
        with self._changing:
            self._until = time.monotonic() + seconds

    def _keep(self) -> None:
        every = min(self._claims.lease_seconds / RENEWALS_PER_LEASE, PATIENCE_SECONDS)
        renew_at = time.monotonic() + self._claims.lease_seconds / RENEWALS_PER_LEASE
        while not self._ended.wait(every):
            self._look_for_slowness()
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + self._claims.lease_seconds / RENEWALS_PER_LEASE
                self._renew()

    def _look_for_slowness(self) -> None:
        with self._changing:
            now = time.monotonic()
            quick = now - self._since <= PATIENCE_SECONDS and now - self._held_since <= ROUND_SECONDS
            if self._running is None or quick:
                return
            left = self._others()
        if not left:
            return
        self._claims.release([held.claim for held in left])
        try:
            # Those that are finished too: who was refused such a lane relied on it being looked at once more
            self._hand_on([held.lane for held in left])
        except RedisError as error:  # a sweep finds them
            log.warning("lanes.not_handed_on", lanes=len(left), error=type(error).__name__)

    def _others(self) -> list[Held]:
        """All but what runs, and forget them. Under the lock."""
        left = [*self._waiting, *self._finished]
        self._waiting.clear()
        self._finished.clear()
        return left

    def _renew(self) -> None:
        with self._changing:
            kept = [held.claim for held in (*self._waiting, *self._finished)]
            if self._running is not None and time.monotonic() < self._until:
                kept.append(self._running.claim)
        if not kept:
            return
        try:
            lost = self._claims.renew(kept)
        except RedisError as error:
            log.warning("claim.renewal_failed", error=str(error))
            return
        if lost:
            log.warning("claim.lost", keys=lost)
