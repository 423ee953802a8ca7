"""Claims: at most one worker at a time runs a lane, and an event.

Relies on Redis's SET NX with a lease, renewed while the handler runs. It cannot see that a worker was stopped
for longer than its lease and then goes on: two may then believe they hold a claim. So a claim saves work; that
an event's effects are committed once is kept by the fence in ``lane``, which Postgres checks.
"""

import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from redis import Redis
from redis.exceptions import RedisError

from app.redis_keys import JOURNAL_INDEX
from app.scripts import script
from config.logging import get_logger

RENEWALS_PER_LEASE = 3

log = get_logger(__name__)


class ClaimResult(StrEnum):
    CLAIMED = "claimed"
    HELD = "held"  # somebody else works here, and will go on with the lane
    SETTLING = "settling"  # something accepted earlier is about to be stored: look again in a moment


@dataclass(slots=True)
class Claim:
    """Some keys, held together under one token."""

    keys: Sequence[str]
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


class Claims:
    """The claims that this process takes."""

    def __init__(self, redis: "Redis", lease_seconds: float, settle_seconds: float) -> None:
        self._lease_ms = int(lease_seconds * 1000)
        self._settle_ms = int(settle_seconds * 1000)
        self._claim = script(redis, "claim")
        self._renew = script(redis, "claim_renew")
        self._release = script(redis, "claim_release")

    def take(self, claim: Claim, delivery_id: UUID) -> ClaimResult:
        """Take all keys of the claim or none, for an event of the given delivery."""
        return ClaimResult(
            self._claim(
                keys=[JOURNAL_INDEX, *claim.keys],
                args=[claim.token, self._lease_ms, str(delivery_id), self._settle_ms],
            ).decode()
        )

    def release(self, claim: Claim) -> None:
        """Give the keys back; when Redis is away their leases run out by themselves."""
        try:
            self._release(keys=claim.keys, args=[claim.token])
        except RedisError as error:
            log.warning("claim.release_failed", error=str(error))

    @contextmanager
    def renewed(self, claim: Claim, longest_seconds: float) -> Iterator[None]:
        """Renew the lease in the background, for at most ``longest_seconds``: a hung handler loses its claim."""
        finished = threading.Event()
        stop_at = time.monotonic() + longest_seconds
        every = self._lease_ms / 1000 / RENEWALS_PER_LEASE

        def renew() -> None:
            while not finished.wait(every) and time.monotonic() < stop_at:
                try:
                    if self._renew(keys=claim.keys, args=[claim.token, self._lease_ms]) < len(claim.keys):
                        log.warning("claim.lost")
                        return
                except RedisError as error:
                    log.warning("claim.renewal_failed", error=str(error))

        thread = threading.Thread(target=renew, name="claim-renewal", daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
