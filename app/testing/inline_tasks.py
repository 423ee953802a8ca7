"""The tasks of a pipeline under test, run inline: each takes its message out of the queue as its process would."""

import asyncio
import contextlib
from collections.abc import Callable

from celery.exceptions import Retry

from app.broker import arguments_of
from app.handlers import coroutines, registry, start_hooks
from app.ingest import incoming, ingest
from app.stores import connections, engine, redis
from config import celery as names
from tasks import app
from tasks import lanes as lane_tasks
from tasks import outbox as outbox_tasks

app.loader.import_default_modules()
NOT_SWEPT = (names.WATCH_BACKLOG, names.PURGE)


def take_one() -> str | None:
    """Run the oldest message of a queue; return the queue, None if all are empty. Raises what ends the process."""
    for queue, run in QUEUES.items():
        message = redis().rpop(queue)
        if isinstance(message, bytes):
            run(message)
            return queue
    return None


def _ingest(message: bytes) -> None:
    ingest(engine(), redis(), registry, incoming(arguments_of(message)[0]))


def _advance(message: bytes) -> None:
    with contextlib.suppress(Retry):  # how a failed attempt is shown in Flower
        lane_tasks.advance(arguments_of(message)[0])


def _send(_message: bytes) -> None:
    outbox_tasks.send()


QUEUES: dict[str, Callable[[bytes], None]] = {
    names.WEBHOOKS: _ingest,
    names.CONVERSATIONS: _advance,
    names.BULK_CONVERSATIONS: _advance,
    names.OUTBOX: _send,
}


def sweep() -> None:
    """Run what beat schedules, once, but for what only watches or deletes."""
    for name in names.SCHEDULE:
        if name not in NOT_SWEPT:
            app.tasks[name]()


def end_process() -> None:
    """Close what this process has opened, and forget it: the next task is that of a new process."""
    if outbox_tasks.loop.cache_info().currsize:
        close_loop(outbox_tasks.loop())
    for opened in (outbox_tasks.loop, outbox_tasks.sender, lane_tasks.lanes):
        opened.cache_clear()
    for pool in (
        connections.engine,
        connections.lane_engine,
        connections.sender_engine,
        connections.web_engine,
    ):
        if pool.cache_info().currsize:
            pool().dispose()
    for client in (connections.redis, connections.web_redis):
        if client.cache_info().currsize:
            client().connection_pool.disconnect()
    connections.reset()
    coroutines.close()
    start_hooks.reset()


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Close an event loop, and what still runs on it."""
    if loop.is_closed():
        return
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    for task in left:
        with contextlib.suppress(BaseException):
            loop.run_until_complete(task)
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()
