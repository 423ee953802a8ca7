"""The task on the queue ``outbox``."""

import asyncio
import os
from functools import cache

from app.broker import receive_senders_wake, wake_senders
from app.lanes import worker_watch
from app.outbox import OutboxSender, OutboxStatements, Rates
from app.stores import STORE_ERRORS, Fault, judge, redis, retry_on_stale_connection, sender_engine
from config.celery import SEND
from config.logging import get_logger
from tasks import app

# Of one task; with what is under way then, and Meta's slowest answer, below SOFT_SHUTDOWN_SECONDS
BUDGET_SECONDS = 3.0
TIME_LIMIT_SECONDS = 120

log = get_logger(__name__)


@cache
def loop() -> asyncio.AbstractEventLoop:
    """The process's event loop: connections to Meta are kept from task to task."""
    return asyncio.new_event_loop()


@cache
def sender() -> OutboxSender:
    """The process's sender."""
    return OutboxSender(OutboxStatements(sender_engine(), worker_watch.name_of_process()), Rates(redis()))


for each in (loop, sender):
    os.register_at_fork(after_in_child=each.cache_clear)


@app.task(name=SEND, time_limit=TIME_LIMIT_SECONDS)
def send() -> None:
    """Send what may leave; if there may be more when the budget is used up, chain the next ``send``."""
    try:
        receive_senders_wake(redis())
        if retry_on_stale_connection(lambda: loop().run_until_complete(sender().run(BUDGET_SECONDS))):
            wake_senders(redis())
    except STORE_ERRORS as error:
        fault = judge(error)
        if fault is Fault.ITEM:
            raise
        log.warning("outbox.interrupted", fault=fault, error=type(error).__name__)
