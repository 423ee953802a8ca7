"""The second depth: real stores, and every task run inline, one after the other, in this process."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.broker import wake_senders
from app.handlers import Registry, registry, start_hooks
from app.intake import Intake, fallback_store, primary_store
from app.outbox import decide
from app.recovery import sweeper
from app.stores import CLAIM_PREFIX, OUTBOX_WAKE, engine, lane_engine, redis, sender_engine
from app.testing import inline_tasks, kept, time_shift
from app.testing.crash_points import CrashPoints, Killed
from app.testing.failed_run import FailedRun
from app.testing.meta import Meta
from app.testing.own_session import fresh, open_session
from config.settings import settings

WHO = "testing"

LOSE_SENDERS = text("UPDATE sends SET held_until = clock_timestamp() WHERE state = 'sending'")
UNKNOWN = text("SELECT id FROM sends WHERE state = 'unknown' ORDER BY id")


class InlinePipeline:
    """One pipeline over its own database, and the Valkey of the test run, which it empties first."""

    def __init__(self, meta: Meta, points: CrashPoints) -> None:
        self.points = points
        self._meta = meta
        self._unacknowledged: list[bytes] = []
        self._has_died = False
        self._begin_process()
        meta.at_send = lambda when: points.pass_by(f"{when} a send")
        redis().flushall()
        self._session = open_session(settings().database_url)

    def _begin_process(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._intake = Intake(primary_store.write, fallback_store.write, sync_clock=fallback_store.sync_clock)
        for pool in (engine(), lane_engine(), sender_engine()):
            self.points.watch_postgres(pool)
        self.points.watch_redis(redis())

    @property
    def session(self) -> Session:
        """A session of the test's own, which sees what is committed."""
        return fresh(self._session)

    def deliver(self, body: bytes) -> None:
        """Post a body until it is acknowledged."""
        self._unacknowledged.append(body)

    def settle(self) -> None:
        """Run whatever waits in the queues and at Meta; a process that dies is followed by another one."""
        try:
            while self._step():
                pass
        except Killed:
            self._come_back()
        while self._has_died and (self._step() or self._decide()):
            pass

    def move(self, time: timedelta) -> None:
        """Move all times in the stores into the past, and run the sweeps."""
        time_shift.shift(engine(), redis(), time)
        try:
            self.points.doing = "a sweep"
            inline_tasks.sweep()
        except Killed:
            self._come_back()

    def failures(self) -> list[FailedRun]:
        return kept.failures(engine())

    def stopped(self) -> list[str]:
        return kept.stopped(engine())

    def close(self) -> None:
        self._session.close()
        self._end_process()

    @contextmanager
    def left(self) -> Iterator[None]:
        """Inside the block this process belongs to other pipelines; nothing of this one is open."""
        self._session.close()
        self._end_process()
        yield
        self._end_process()
        self._begin_process()
        self._session = open_session(settings().database_url)

    def _end_process(self) -> None:
        if primary_store.store.is_open:
            self._loop.run_until_complete(primary_store.store.close())
        inline_tasks.close_loop(self._loop)
        inline_tasks.end_process()

    def _step(self) -> bool:
        """Do the next thing; return whether there was one."""
        if self._unacknowledged:
            self.points.doing = "a webhook"
            self.points.pass_by("before a body is stored")
            self._loop.run_until_complete(self._intake.accept(self._unacknowledged[0]))
            self.points.pass_by("after a body is stored")
            self._unacknowledged.pop(0)
            return True
        self.points.doing = "a task"
        if inline_tasks.take_one() is not None:
            return True
        if self._intake.num_in_fallback:
            self._intake.num_in_fallback = 0
            inline_tasks.sweep()
            return True
        self._unacknowledged += self._meta.reports()
        return bool(self._unacknowledged)

    def _come_back(self) -> None:
        """Be another process: the leases of the one before have ended, and the sweeps have looked for its work."""
        self._has_died = True
        self._session.close()
        self._end_process()
        self.points.revive()
        self._begin_process()
        self._session = open_session(settings().database_url)
        claims = list(redis().scan_iter(f"{CLAIM_PREFIX}*"))
        redis().delete(OUTBOX_WAKE, *claims)
        with engine().begin() as connection:
            connection.execute(LOSE_SENDERS)
        sweeper.sweep_journal(redis(), 0)
        sweeper.sweep_lanes(engine(), redis(), 0, settings().claim_lease_seconds)
        inline_tasks.sweep()

    def _decide(self) -> bool:
        """Send again, as a person would, what is unknown after Meta has reported all that it took."""
        with engine().connect() as connection:
            unknown = list(connection.execute(UNKNOWN).scalars())
        if not unknown:
            return False
        decide(engine(), "send_again", unknown, WHO, "its sender died before Meta took it")
        wake_senders(redis())
        return True


@contextmanager
def open_pipeline(
    redis_url: str, database_url: str, handlers: Registry, meta: Meta, points: CrashPoints
) -> Iterator[InlinePipeline]:
    """Point this process at these stores and handlers, and yield a pipeline."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis_url)
        patch.setenv("DATABASE_URL", database_url)
        patch.setattr(registry, "handlers", handlers.handlers)
        patch.setattr(registry, "bound", handlers.bound)
        roots = {_root(each.function) for _, each in handlers.items()}
        patch.setattr(start_hooks, "hooks", [hook for hook in start_hooks.hooks if _root(hook) in roots])
        inline_tasks.end_process()
        settings.cache_clear()
        pipeline = InlinePipeline(meta, points)
        try:
            yield pipeline
        finally:
            pipeline.close()
    settings.cache_clear()


def _root(function: Callable[..., object]) -> str:
    """Return the top-level package or module of a function."""
    return function.__module__.partition(".")[0]
