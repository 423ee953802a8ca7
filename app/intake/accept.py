"""Store a body in the primary store (the journal in Redis), or in the fallback store (Postgres).

Every step has a timeout: Meta resends whatever is not acknowledged in time. After the primary store has failed, all
groups go straight to the fallback store, except for one a second, which tries the primary store again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import cache

from prometheus_client import Counter

from app.errors import NeverdropError
from app.intake import fallback_store, primary_store
from app.intake.group_commit import GroupCommit, NotWritten
from app.intake.primary_store import ClockSet
from app.stores import StoredIn, delivery_id
from config.logging import describe, get_logger

PROBE_SECONDS = 1.0

Deliveries = Sequence[tuple[str, bytes]]  # id and body of each

log = get_logger(__name__)
accepted = Counter(
    "neverdrop_deliveries_accepted", "Deliveries stored, by the store that took them", ["door"]
)


class Unavailable(NeverdropError):
    """Neither store took the body: it must not be acknowledged, so that Meta sends it again."""


class Intake:
    """Writes groups of bodies to one of two stores, on one event loop.

    ``fallback`` and ``sync_clock`` are called in threads, so they may block.
    """

    def __init__(
        self,
        primary: Callable[[Deliveries], Awaitable[None]],
        fallback: Callable[[Deliveries], None],
        clock: Callable[[], float] = time.monotonic,
        sync_clock: Callable[[], None] | None = None,
    ) -> None:
        self._primary = primary
        self._fallback = fallback
        self._sync_clock = sync_clock
        self._clock = clock
        self._primary_retry_at: float | None = None  # None while the primary store works
        self._groups = GroupCommit(self._store)
        self.num_in_fallback = 0  # bodies that the fallback store took

    async def accept(self, body: bytes) -> None:
        """Return when ``body`` is stored; raise Unavailable when it may not be."""
        try:
            await self._groups.submit(body)
        except NotWritten as error:
            raise Unavailable("neither Redis nor Postgres could take the webhook") from error

    async def _store(self, bodies: Sequence[bytes]) -> None:
        deliveries = _with_ids(bodies)
        try:
            in_primary = await self._try_primary(deliveries)
        except ClockSet:
            deliveries = _with_ids(bodies)
            in_primary = await self._try_primary(deliveries)
        if in_primary:
            stored_in = StoredIn.JOURNAL
        else:
            stored_in = StoredIn.POSTGRES
            if self._sync_clock and not delivery_id.ids.clock_synced:
                await asyncio.to_thread(self._sync_clock)
                deliveries = _with_ids(bodies)  # the first ids followed a clock that no store has confirmed
            await asyncio.to_thread(self._fallback, deliveries)
            self.num_in_fallback += len(bodies)
        accepted.labels(stored_in).inc(len(bodies))

    async def _try_primary(self, deliveries: Deliveries) -> bool:
        if self._primary_retry_at is not None and self._clock() < self._primary_retry_at:
            return False
        try:
            await self._primary(deliveries)
        except ClockSet:
            raise
        except Exception as error:  # whatever it is, the fallback store is still there
            self._avoid_primary(error)
            return False
        self._use_primary()
        return True

    def _avoid_primary(self, error: Exception) -> None:
        if self._primary_retry_at is None:
            log.error("journal.unavailable", error=describe(error))
        self._primary_retry_at = self._clock() + PROBE_SECONDS

    def _use_primary(self) -> None:
        if self._primary_retry_at is not None:
            log.info("journal.available")
            self._primary_retry_at = None


def _with_ids(bodies: Sequence[bytes]) -> list[tuple[str, bytes]]:
    return list(zip(delivery_id.ids.take(len(bodies)), bodies, strict=True))


@cache
def process_intake() -> Intake:
    """Return the one Intake of this process."""
    return Intake(primary_store.write, fallback_store.write, sync_clock=fallback_store.sync_clock)


async def store_body(body: bytes) -> None:
    """Return when ``body`` is on disk in one of the stores; raise Unavailable when it may not be."""
    await process_intake().accept(body)
