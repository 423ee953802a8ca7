"""Sees in the main process of each worker which other processes are gone, and releases what they had claimed.

Three ways in which work is lost, and who sees it:

- a pool process dies: its main process knows at once which of its pool's processes it still has;
- a main process dies, with or without its pool: the main processes of other workers miss its beats. A process of its
  pool that still beats, or still claims and releases, keeps what it has;
- nobody else is alive, or Redis is away: the lease ends.

What they were at beside lanes is released by who knows how: a ``Release``. Anything that beats is watched for that,
also what has no pool and claims nothing, as a forwarder.

No clock of another process is asked, so none can be set wrong: a beat is a number that grows, and each watcher
measures by its own clock for how long it has not.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from celery import bootsteps
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from app.lanes.claim_holder import WORKER, ClaimHolder
from app.lanes.lost_claims import HeldClaims, held_by, release
from app.lanes.silence import Silence
from app.stores import BEATS, engine, web_redis
from config.logging import get_logger

LOOK_SECONDS = 1.0
WORKER_SILENT_SECONDS = 4.0  # four beats missed
PROCESS_SILENT_SECONDS = 3.0  # of a pool process whose worker is silent too
WATCHED_AFTER_SECONDS = 0.5  # a worker that missed a beat: from here on its pool is looked at
REMOVED_AFTER_SECONDS = 60.0
START_BEATS = 8  # tries; each may end after a quarter of a second, where the machine is busy
STOP_SECONDS = 2.0

# Called with a worker, and with its processes that are gone; None: with all of them. It may be called again
Release = Callable[[Engine, "Redis", str, Collection[int] | None], object]

log = get_logger(__name__)


def name_of_process() -> str:
    """Return this process as a ``Release`` is told of it: worker/process."""
    holder = ClaimHolder()
    return f"{holder.worker}/{holder.process}"


class WorkerWatch:
    """Looks every LOOK_SECONDS, in a thread that ends with ``stop`` or with its process.

    ``living`` returns the numbers of the pool's own processes; None where the pool has none.
    """

    def __init__(
        self,
        engine: Engine,
        redis: "Redis",
        living: Callable[[], Collection[int] | None],
        worker: str = WORKER,
        clock: Callable[[], float] = time.monotonic,
        releases: Sequence[Release] = (),
    ) -> None:
        self._engine, self._redis, self._living = engine, redis, living
        self._worker, self._clock, self._releases = worker, clock, releases
        self._workers: Silence[str] = Silence()
        self._processes: Silence[tuple[str, str]] = Silence()
        self._own: frozenset[int] = frozenset()  # of the pool's processes, as seen last
        self._gone: dict[
            str, set[int] | None
        ] = {}  # worker → processes, None for all, that are to be released
        self._silent: frozenset[str] = frozenset()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker-watch", daemon=True)

    def start(self) -> None:
        """Beat, before the pool can claim anything: who has never beaten is missed by nobody."""
        for _ in range(START_BEATS):
            with contextlib.suppress(RedisError):
                self._redis.hincrby(BEATS, self._worker, 1)
                break
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that is waiting for a store ends with the process."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def look(self) -> None:
        """Beat, and release what those have claimed that are gone. RedisError while Redis is away."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hincrby(BEATS, self._worker, 1)
            pipe.hgetall(BEATS)
            _, beats = pipe.execute()
        for held in [*self._own_that_died(), *self._of_silent_workers(beats)]:
            release(self._engine, self._redis, held)
        self._release_gone()

    def _release_gone(self) -> None:
        for worker, processes in list(self._gone.items()):
            try:
                for each in self._releases:
                    each(self._engine, self._redis, worker, processes)
            except DBAPIError as error:  # the next look tries again
                log.warning("worker_watch.not_released", error=type(error).__name__)
                return
            del self._gone[worker]

    def _own_that_died(self) -> list[HeldClaims]:
        # In this order: what is claimed by a process that is forked in between is not seen yet
        all_held = held_by(self._redis, self._worker)
        living = self._living()
        if living is None:
            return []
        if gone := self._own - frozenset(living):
            self._gone[self._worker] = (self._gone.get(self._worker) or set()) | gone
        self._own = frozenset(living)
        return [held for held in all_held if int(held.process) not in living]

    def _of_silent_workers(self, beats: dict[bytes, bytes]) -> list[HeldClaims]:
        others = {name.decode(): count for name, count in beats.items() if name.decode() != self._worker}
        now = self._clock()
        silent = self._workers.look(now, others)
        gone = frozenset(worker for worker, seconds in silent.items() if seconds >= WORKER_SILENT_SECONDS)
        self._gone |= dict.fromkeys(gone - self._silent)
        self._silent = gone
        watched = [
            held
            for worker, seconds in silent.items()
            if seconds >= WATCHED_AFTER_SECONDS
            for held in self._held_by_silent(worker, seconds)
        ]
        seen = {(held.worker, held.process): (held.beat, held.claims) for held in watched}
        unchanged = self._processes.look(now, seen)
        return [
            held
            for held in watched
            if silent[held.worker] >= WORKER_SILENT_SECONDS
            and unchanged[held.worker, held.process] >= PROCESS_SILENT_SECONDS
        ]

    def _held_by_silent(self, worker: str, seconds: float) -> list[HeldClaims]:
        """Return what its pool's processes have; a worker that ended with nothing is not looked at any more."""
        all_held = held_by(self._redis, worker)
        if not all_held and seconds >= REMOVED_AFTER_SECONDS:
            self._redis.hdel(BEATS, worker)
        return all_held

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            try:
                self.look()
            except (RedisError, TimeoutError):
                continue  # what was seen before the gap counts no more
            except Exception as error:  # whatever it is, the others are watched on
                log.exception("worker_watch.look_failed", error=type(error).__name__)


class WorkerWatchStep(bootsteps.StartStopStep):
    """Part of a Celery worker's main process: begun after its pool has forked, ended with it."""

    requires = ("celery.worker.components:Pool",)
    releases: Sequence[Release] = ()

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._watch: WorkerWatch | None = None

    def start(self, parent: Any) -> None:
        self._watch = WorkerWatch(
            engine(), web_redis(), lambda: pool_processes(parent.pool), releases=self.releases
        )
        self._watch.start()

    def stop(self, _parent: Any) -> None:
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def terminate(self, parent: Any) -> None:
        self.stop(parent)


class PoolUpkeep(bootsteps.StartStopStep):
    """Part of Celery's consumer: looks each second after what a dead pool process was at.

    Celery does so every 5 s, and until then a place of the pool is taken by what nobody runs. Its timers end with each
    connection to the broker, hence a step of the consumer.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, consumer: Any, **options: Any) -> None:
        super().__init__(consumer, **options)
        self._timer_entry: Any = None

    def start(self, consumer: Any) -> None:
        self._timer_entry = consumer.timer.call_repeatedly(LOOK_SECONDS, consumer.pool.maintain_pool)

    def stop(self, _consumer: Any) -> None:
        if self._timer_entry is not None:
            self._timer_entry.cancel()
            self._timer_entry = None

    shutdown = stop


def pool_processes(pool: Any) -> Collection[int] | None:
    """Return the processes of a pool that Celery knows to be alive; None for a pool of threads."""
    processes = pool.info.get("processes")
    return None if processes is None or None in processes else frozenset(processes)


def install(celery_app: Any, *releases: Release) -> None:
    """Let every worker of this Celery app watch its pool and the other workers."""
    celery_app.steps["worker"].add(type("WorkerWatchStep", (WorkerWatchStep,), {"releases": releases}))
    celery_app.steps["consumer"].add(PoolUpkeep)
