"""Release what a pool process had claimed that is dead, so that its lanes go on before the leases end.

Promises: only claims that the process still has are released, and none if it gave a sign of life meanwhile.
Cannot see: whether the process is dead or only stopped. One that goes on later finds its commit refused by the
fencing token.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from app.broker import wake
from app.stores import claimed_by, script
from config.logging import get_logger

CLAIM = re.compile(r"claim:(lane|job):(\d+)\Z")
MAX_PAUSE_SECONDS = 30

# A job that ends each process that runs it is not to end one after the other without a pause: from the second loss in
# a row on its next attempt waits. The lost attempt stays open, for the next one to record.
PAUSE = text("""
UPDATE jobs SET due_at = clock_timestamp()
  + make_interval(secs => least(power(2, attempts - attempts_at_retry - 1), :max_seconds))
WHERE id = ANY(:jobs) AND begun_at IS NOT NULL AND attempts - attempts_at_retry >= 2
""")

log = get_logger(__name__)


@dataclass(slots=True)
class HeldClaims:
    """What a pool process has claimed, and how often it has given a sign of life."""

    worker: str
    process: str
    beat: str = ""
    claims: dict[str, str] = field(default_factory=dict)  # claim → token

    def numbers(self, of: str) -> list[int]:
        """Return the numbers of the lanes or jobs among the claims."""
        found = map(CLAIM.search, self.claims)
        return sorted(int(each[2]) for each in found if each and each[1] == of)


def held_by(redis: "Redis", worker: str) -> list[HeldClaims]:
    """Return what each pool process of a worker has claimed; one that has nothing is left out."""
    processes: dict[str, HeldClaims] = {}
    fields: Any = redis.hgetall(claimed_by(worker))
    for name, value in ((name.decode(), value.decode()) for name, value in fields.items()):
        is_beat = name.startswith("beat:")
        process, _, token = (name.removeprefix("beat:"), "", "") if is_beat else value.partition(":")
        held = processes.setdefault(process, HeldClaims(worker, process))
        if is_beat:
            held.beat = value
        else:
            held.claims[name] = token
    return [held for held in processes.values() if held.claims]


def release(
    engine: Engine, redis: "Redis", held: HeldClaims, wake: Callable[["Redis", Sequence[int]], object] = wake
) -> int:
    """Release the claims of a dead pool process and wake its lanes; return how many claims were released.

    1. let a job wait that has lost its process before; 2. release the claims; 3. wake the lanes. Dying in between, or
    being two at it, costs time only: a sweep finds the lanes. Raises RedisError.
    """
    try:
        with engine.begin() as connection:
            connection.execute(PAUSE, {"jobs": held.numbers("job"), "max_seconds": MAX_PAUSE_SECONDS})
    except DBAPIError as error:  # the lanes cannot go on without Postgres either
        log.warning("claims.not_released", pid=held.process, error=type(error).__name__)
        return 0
    arguments = [part for claim in held.claims.items() for part in claim]
    keys = [claimed_by(held.worker)]
    released = int(
        script(redis, __package__, "claim_release_lost")(
            keys=keys, args=[held.process, held.beat, *arguments]
        )
    )
    if released > 0:
        wake(redis, held.numbers("lane"))
        log.warning("claims.released", pid=held.process, claims=released, lanes=len(held.numbers("lane")))
    return max(released, 0)
