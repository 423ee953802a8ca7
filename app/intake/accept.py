"""Makes a body durable: the journal first, Postgres as the second door, then and only then it is accepted.

Every step is bounded: Meta waits, and what it is not told in time it sends again. After a failure of the
first door the next groups go straight to the second; one group a second tries the first again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache

from prometheus_client import Counter

from app.errors import NeverdropError
from app.intake import fallback_store as second_door
from app.intake import primary_store as first_door
from app.intake.group_commit import GroupCommit, NotWritten
from app.stores import Door, delivery_id
from config.logging import describe, get_logger

PROBE_SECONDS = 1.0

Deliveries = Sequence[tuple[str, bytes]]  # id and body of each

log = get_logger(__name__)
accepted = Counter("neverdrop_deliveries_accepted", "Deliveries stored, by the door they took", ["door"])


class Unavailable(NeverdropError):
    """Neither store took the body: it must not be acknowledged, so that Meta sends it again."""


class Intake:
    """Two doors behind one group commit, on one event loop. The second door, and ``sync_clock``, may block."""

    def __init__(
        self,
        first: Callable[[Deliveries], Awaitable[None]],
        second: Callable[[Deliveries], None],
        clock: Callable[[], float] = time.monotonic,
        sync_clock: Callable[[], None] | None = None,
    ) -> None:
        self._first = first
        self._second = second
        self._sync_clock = sync_clock
        self._clock = clock
        self._closed_until: float | None = None  # the first door; None while it is open
        self._groups = GroupCommit(self._store)

    async def accept(self, body: bytes) -> None:
        """Returns when ``body`` is stored; Unavailable when it may not be."""
        try:
            await self._groups.submit(body)
        except NotWritten as error:
            raise Unavailable("neither Redis nor Postgres could take the webhook") from error

    async def _store(self, bodies: Sequence[bytes]) -> None:
        deliveries = _named(bodies)
        door = Door.JOURNAL if await self._through_first(deliveries) else Door.POSTGRES
        if door is Door.POSTGRES:
            if self._sync_clock and not delivery_id.ids.clock_synced:
                await asyncio.to_thread(self._sync_clock)
                deliveries = _named(bodies)  # the first names followed a clock that nobody has confirmed
            await asyncio.to_thread(self._second, deliveries)
        accepted.labels(door).inc(len(bodies))

    async def _through_first(self, deliveries: Deliveries) -> bool:
        if self._closed_until is not None and self._clock() < self._closed_until:
            return False
        try:
            await self._first(deliveries)
        except Exception as error:  # whatever it is, the second door is still there
            self._close(error)
            return False
        self._reopen()
        return True

    def _close(self, error: Exception) -> None:
        if self._closed_until is None:
            log.error("journal.unavailable", error=describe(error))
        self._closed_until = self._clock() + PROBE_SECONDS

    def _reopen(self) -> None:
        if self._closed_until is not None:
            log.info("journal.available")
            self._closed_until = None


def _named(bodies: Sequence[bytes]) -> list[tuple[str, bytes]]:
    return list(zip(delivery_id.ids.take(len(bodies)), bodies, strict=True))


@cache
def intake() -> Intake:
    """The process's own."""
    return Intake(first_door.write, second_door.write, sync_clock=second_door.sync_clock)
