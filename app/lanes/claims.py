"""Claims: at most one worker at a time runs a lane, and an event.

Relies on Redis's SET NX with a lease, renewed while the handler runs. It cannot see that a worker was stopped
for longer than its lease and then goes on: two may then believe they hold a claim. So a claim saves work only:
the fencing token in ``statements``, which Postgres checks, is what commits an event's effects once.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from redis import Redis
from redis.exceptions import RedisError

from app.lanes.claim_holder import ClaimHolder
from app.stores import JOURNAL_INDEX, claimed_by, script
from config.logging import get_logger

CLAIMED_MS = 3_600_000  # that a list of a worker's claims is kept after the last of them

log = get_logger(__name__)


class ClaimResult(StrEnum):
    CLAIMED = "claimed"
    CLAIMED_ELSEWHERE = "claimed_elsewhere"  # another worker has one of the keys
    AWAITING_EARLIER = (
        "awaiting_earlier"  # a delivery accepted earlier is about to be stored: look again in a moment
    )


@dataclass(frozen=True, slots=True)
class Claim:
    """Some keys, held together under one token, for an event of the given delivery."""

    keys: Sequence[str]
    delivery_id: str
    token: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class Taken:
    """``results``: one for each claim; ``awaiting``: the first delivery that is about to be stored, if there is one."""

    results: Sequence[ClaimResult]
    awaiting: str | None


class Claims:
    """The claims that this process takes. Each call is one round trip, for as many claims as are given.

    What it has is listed in Redis, so that it can be released at once when the process dies: see ``lost_claims``.
    """

    def __init__(
        self, redis: "Redis", lease_seconds: float, settle_seconds: float, holder: ClaimHolder | None = None
    ) -> None:
        holder = holder or ClaimHolder()
        self.lease_seconds = lease_seconds
        self._redis = redis
        self._process = holder.process
        self._claimed = claimed_by(holder.worker)
        self._lease_ms = int(lease_seconds * 1000)
        self._settle_ms = int(settle_seconds * 1000)
        self._claim = script(redis, __package__, "claim")
        self._renew = script(redis, __package__, "claim_renew")
        self._release = script(redis, __package__, "claim_release")

    def take(self, claims: Sequence[Claim]) -> Taken:
        """Of each claim all keys or none, in this order."""
        awaiting, *results = self._claim(
            keys=[JOURNAL_INDEX, self._claimed, *_keys(claims)],
            args=[
                self._lease_ms,
                self._settle_ms,
                self._process,
                CLAIMED_MS,
                *(part for claim in claims for part in (claim.token, claim.delivery_id, len(claim.keys))),
            ],
        )
        return Taken([ClaimResult(result.decode()) for result in results], awaiting.decode() or None)

    def renew(self, claims: Sequence[Claim]) -> int:
        """Begin their leases anew; how many keys had been lost. RedisError while Redis is away."""
        renewed: int = self._renew(keys=_keys(claims), args=[self._lease_ms, *_tokens(claims)])
        return len(_keys(claims)) - renewed

    def beat(self) -> None:
        """Give a sign of life while something is claimed. RedisError while Redis is away."""
        self._redis.hincrby(self._claimed, f"beat:{self._process}", 1)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give the keys back; when Redis is away their leases run out by themselves."""
        if not claims:
            return
        try:
            self._release(keys=[self._claimed, *_keys(claims)], args=[self._process, *_tokens(claims)])
        except RedisError as error:
            log.warning("claim.release_failed", error=str(error))


def _keys(claims: Sequence[Claim]) -> list[str]:
    return [key for claim in claims for key in claim.keys]


def _tokens(claims: Sequence[Claim]) -> list[str]:
    """One for each key."""
    return [claim.token for claim in claims for _ in claim.keys]
