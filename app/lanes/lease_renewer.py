"""Renews the leases of the lanes that a worker has claimed, while it is in a handler.

A thread beside the worker renews them, for at most as long as the handler that runs may take. It also gives back the
lanes that ``claimed`` says wait behind a slow handler.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from redis.exceptions import RedisError

from app.lanes import claimed as rules
from app.lanes.claimed import Claimed, ClaimedLane
from app.lanes.claims import Claims
from config.logging import get_logger

RENEWALS_PER_LEASE = 3
BEAT_SECONDS = 1.0  # between signs of life

log = get_logger(__name__)


class LeaseRenewer:
    """The claims of one worker. A context manager: its thread runs inside the block.

    ``wake`` enqueues lanes, so that another worker runs them.
    """

    def __init__(self, claims: Claims, wake: Callable[[Sequence[int]], object]) -> None:
        self._claims = claims
        self._wake = wake
        self._changing = threading.Lock()
        self._claimed = Claimed()  # under the lock
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="lease-renewer", daemon=True)

    def __enter__(self) -> "LeaseRenewer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Release whatever is left."""
        self._ended.set()
        self.release()

    def add(self, lanes: Iterable[ClaimedLane]) -> None:
        """Renew the leases of lanes that were claimed just now; they are run in this order."""
        with self._changing:
            self._claimed.add(lanes, time.monotonic())

    def start_next(self) -> ClaimedLane | None:
        """Begin to run the next lane and return it; None if no lane is left that was not given back."""
        with self._changing:
            return self._claimed.start_next(time.monotonic())

    def end(self, lane: ClaimedLane) -> None:
        """Run a lane no longer; its claim is held until the others are released or given back."""
        with self._changing:
            self._claimed.end(lane)

    def set_deadline(self, seconds: float) -> None:
        """Renew the leases of the lanes that run for this long from now on."""
        with self._changing:
            self._claimed.renew_until = time.monotonic() + seconds

    def release(self) -> None:
        """Release every claim that is still held."""
        with self._changing:
            lanes = self._claimed.pop_all()
        self._claims.release([each.claim for each in lanes])

    def give_back(self, lanes: Sequence[ClaimedLane]) -> None:
        """Release lanes and wake them, so that another worker runs them."""
        self._claims.release([each.claim for each in lanes])
        try:
            self._wake([each.lane for each in lanes])
        except RedisError as error:  # a sweep finds them
            log.warning("lanes.not_given_back", lanes=len(lanes), error=type(error).__name__)

    def _watch(self) -> None:
        renewal_seconds = self._claims.lease_seconds / RENEWALS_PER_LEASE
        beat_at = time.monotonic() + BEAT_SECONDS
        renew_at = time.monotonic() + renewal_seconds
        while not self._ended.wait(min(renewal_seconds, rules.PATIENCE_SECONDS)):
            self._release_if_slow()
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + BEAT_SECONDS
                self._beat()
            if time.monotonic() >= renew_at:
                renew_at = time.monotonic() + renewal_seconds
                self._renew()

    def _release_if_slow(self) -> None:
        if lanes := self._pop_not_running():
            self.give_back(lanes)

    def _pop_not_running(self) -> list[ClaimedLane]:
        with self._changing:
            slow = rules.lanes_to_give_back(time.monotonic(), self._claimed)
            return self._claimed.pop_not_running() if slow else []

    def _beat(self) -> None:
        with contextlib.suppress(RedisError):  # then the worker's own beat counts
            self._claims.beat()

    def _renew(self) -> None:
        with self._changing:
            lanes = rules.lanes_to_renew(time.monotonic(), self._claimed)
        if not lanes:
            return
        try:
            num_lost = self._claims.renew([each.claim for each in lanes])
        except RedisError as error:
            log.warning("claim.renewal_failed", error=str(error))
            return
        if num_lost:
            log.warning("claim.lost", keys=num_lost)
