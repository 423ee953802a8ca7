"""The task on the queue ``conversations``."""

import os
from collections.abc import Sequence
from functools import cache
from typing import Any

from celery import Task
from celery.exceptions import Retry
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError

from app import dead_letters, wakes
from app.claims import Claims
from app.connections import lane_engine, once_more_if_stale, redis
from app.handlers.registry import registry
from app.lane import Lanes, Outcome, Step
from config.celery import ADVANCE
from config.logging import get_logger
from config.settings import settings
from tasks import app

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
        announce_dead=lambda event_id: dead_letters.announce(redis(), event_id),
        wake=lambda woken: wakes.wake(redis(), woken),
    )


os.register_at_fork(after_in_child=lanes.cache_clear)


@app.task(name=ADVANCE, bind=True)
def advance(self: "Task[Any, Any]", lane: int) -> None:
    """Run what may be run of a lane; if there may be more, chain the next ``advance`` behind the others.

    Where handlers are quick and the queue is long, so it does with some more lanes that wait there. A failed
    attempt ends the task as RETRY, so that it can be seen in Flower. Nothing is published for it: when the event is
    due, the sweep wakes its lane.
    """
    ours = lanes(f"{self.request.hostname}/{os.getpid()}")
    try:
        taken = wakes.woken(redis(), lane, ours.pace.events)
        budget_seconds = settings().advance_budget_seconds
        steps = once_more_if_stale(lambda: ours.advance(taken, budget_seconds))
        wakes.wake(redis(), [step.lane for step in steps if step.lane_goes_on])
    except (RedisError, OperationalError, InterfaceError) as error:
        # A store is away. Whatever was begun is behind the fence; the sweep wakes the lane when it is back.
        log.warning("lane.interrupted", lane=lane, error=type(error).__name__)
        return
    failed = [step for step in steps if step.outcome is Outcome.FAILED]
    if failed:
        raise _shown_as_retry(failed)


def _shown_as_retry(failed: Sequence[Step]) -> Retry:
    """Flower shows the text to whoever looks: the class says enough, the dead letter has the rest."""
    shown = [f"event {step.event_id}: {(step.error or '').partition(':')[0]}" for step in failed]
    return Retry(", ".join(shown), when=None)
