"""The task on the queue ``conversations``."""

import os
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from celery import Task
from celery.exceptions import Retry, WorkerShutdown, WorkerTerminate

from app import dead_letters
from app.broker import WakeBatch, wakes
from app.handlers import registry, start_hooks
from app.lanes import Claims, Lanes, Outcome, Step
from app.stores import STORE_ERRORS, Fault, judge, lane_engine, redis, retry_on_stale_connection
from app.watch import unknown_handlers
from config.celery import ADVANCE, BULK_PRIORITY
from config.logging import get_logger
from config.settings import settings
from tasks import app

MORE_SECONDS = 1.0  # of running lanes that wait: a task for each costs as much as a quick handler
BULK_SECONDS = 0.02  # of bulk work, before it is looked whether something else waits

log = get_logger(__name__)


@cache
def lanes(worker: str) -> Lanes:
    """What this process runs lanes with."""
    known = settings()
    return Lanes(
        engine=lane_engine(),
        claims=Claims(redis(), known.claim_lease_seconds, known.order_settle_seconds),
        registry=registry,
        worker=worker,
        settle_seconds=known.order_settle_seconds,
        handler_time_limit_seconds=known.handler_time_limit_seconds,
        enqueue_dead_letter=lambda event_id: dead_letters.enqueue_dead_letter(redis(), event_id),
        wake=lambda woken: wakes.wake(redis(), woken),
        wake_senders=lambda: wakes.wake_senders(redis()),
        record_unknown=lambda names: unknown_handlers.record(redis(), names),
        must_end=(WorkerShutdown, WorkerTerminate),
    )


os.register_at_fork(after_in_child=lanes.cache_clear)


@app.task(name=ADVANCE, bind=True)
def advance(self: "Task[Any, Any]", lane: int) -> str | None:
    """Run what may be run of a lane; if there may be more, chain the next ``advance`` behind the others.

    Where the queue is long, so it does with other lanes that wait there, and where handlers are quick with many at a
    time. A failed attempt ends the task as RETRY, so that it can be seen in Flower. Nothing is published for it: when
    the event is due, the sweep wakes its lane. Returns which jobs it ran and how they ended, to be seen in Flower.
    """
    ours = lanes(f"{self.request.hostname}/{os.getpid()}")
    if not _started():
        return None
    try:
        woken = wakes.receive_wakes(redis(), [lane], ours.batch_sizer.size)
        if _is_bulk(self.request.delivery_info):
            woken = woken._replace(bulk=True)
        failed, ran = retry_on_stale_connection(lambda: _run(ours, woken))
    except STORE_ERRORS as error:
        fault = judge(error)
        if fault is Fault.ITEM:
            raise
        # Whatever was begun is behind the fence; the sweep wakes the lanes when the store can do it again.
        log.warning("lane.interrupted", lane=lane, fault=fault, error=type(error).__name__)
        return None
    if failed:
        raise _shown_as_retry(failed, ran)
    return ran or None


def _started() -> bool:
    """Whether what ``@on_start`` registered has run in this process; while it fails nothing is run here."""
    try:
        start_hooks.run()
    except Exception as error:
        log.exception("handlers.not_started", error=type(error).__name__)
        return False
    return True


def _is_bulk(delivery_info: Any) -> bool:
    return (delivery_info or {}).get("priority") == BULK_PRIORITY


def _run(ours: Lanes, woken: WakeBatch) -> tuple[list[Step], str]:
    """Run these lanes, then others that wait in the queue, for MORE_SECONDS; what failed, and what ran, as text."""
    failed: list[Step] = []
    began = time.monotonic()
    budget_seconds = settings().advance_budget_seconds
    with ours.runner() as runner:
        while woken.lanes:
            left_seconds = began + budget_seconds - time.monotonic()
            steps = runner.advance(
                woken.lanes, min(BULK_SECONDS, left_seconds) if woken.bulk else left_seconds
            )
            wakes.wake(redis(), [step.lane for step in steps if step.has_more], bulk=woken.bulk)
            failed += [step for step in steps if step.outcome is Outcome.FAILED]
            if time.monotonic() >= began + min(MORE_SECONDS, budget_seconds):
                break
            woken = wakes.receive_wakes(redis(), [], ours.batch_sizer.size)
        ran = str(runner.execution.tally)
    return failed, ran


def _shown_as_retry(failed: Sequence[Step], ran: str) -> Retry:
    """Flower shows the text to whoever looks: the class says enough, the dead letter has the rest."""
    shown = [f"job {step.job_id}: {(step.error or '').partition(':')[0]}" for step in failed]
    return Retry(f"{', '.join(shown)} ({ran})", when=None)
