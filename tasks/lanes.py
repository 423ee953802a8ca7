"""The task on the queue ``conversations``."""

import os
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
from app.lane import advance as advance_lane
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
    )


os.register_at_fork(after_in_child=lanes.cache_clear)


@app.task(name=ADVANCE, bind=True)
def advance(self: "Task[Any, Any]", lane: int) -> None:
    """Run what may be run of a lane; if there may be more, chain the next ``advance`` behind the others.

    A failed attempt ends the task as RETRY, so that it can be seen in Flower. Nothing is published for it: when
    the event is due, the sweep wakes its lane.
    """
    worker = f"{self.request.hostname}/{os.getpid()}"
    try:
        wakes.woken(redis(), lane)
        budget_seconds = settings().advance_budget_seconds
        step = once_more_if_stale(lambda: advance_lane(lanes(worker), lane, budget_seconds))
        if step.lane_goes_on:
            wakes.wake(redis(), [lane])
    except (RedisError, OperationalError, InterfaceError) as error:
        # A store is away. Whatever was begun is behind the fence; the sweep wakes the lane when it is back.
        log.warning("lane.interrupted", lane=lane, error=type(error).__name__)
        return
    if step.outcome is Outcome.FAILED:
        raise _shown_as_retry(step)


def _shown_as_retry(step: Step) -> Retry:
    """Flower shows the text to whoever looks: the class says enough, the dead letter has the rest."""
    error_class = (step.error or "").partition(":")[0]
    return Retry(f"event {step.event_id}: {error_class}", when=None)
