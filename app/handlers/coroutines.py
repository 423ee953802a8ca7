"""Runs ``async def`` handlers: one event loop for each thread that runs handlers, as long as the process lives.

Clients that belong to an event loop (HTTP pools, asyncio locks) therefore live from one event to the next. Relies on
the caller's time limit, which is an exception in the middle of whatever runs.
"""

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any

from app.handlers.options import HandlerError

CANCEL_SECONDS = 1.0  # for what a handler left running to tidy up


class _Loops(threading.local):
    loop: asyncio.AbstractEventLoop | None = None


_loops = _Loops()


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it to its end on this thread's loop and return its answer.

    Raises what it raises. HandlerError if it returned while a task that it had started still ran: that task's code
    would run to no end, or within another event.
    """
    loop = _loop()
    before = asyncio.all_tasks(loop)
    task = loop.create_task(coroutine)
    try:
        answer = loop.run_until_complete(task)
    finally:
        left_running = asyncio.all_tasks(loop) - before
        _cancel(loop, left_running)
    if left_running:
        raise HandlerError(f"returned while {len(left_running)} of its tasks still ran: await them")
    return answer


def _loop() -> asyncio.AbstractEventLoop:
    if _loops.loop is None or _loops.loop.is_closed():
        _loops.loop = asyncio.new_event_loop()
    return _loops.loop


def _cancel(loop: asyncio.AbstractEventLoop, tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks and run them until they have ended, for CANCEL_SECONDS at most."""
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_SECONDS))
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # looked at: asyncio would log it, with what the event holds


def close() -> None:
    """Close this thread's loop; the next handler gets a new one."""
    loop, _loops.loop = _loops.loop, None
    if loop is not None:
        loop.close()


def _reset_loop() -> None:
    _loops.loop = None  # of the process before the fork


os.register_at_fork(after_in_child=_reset_loop)
