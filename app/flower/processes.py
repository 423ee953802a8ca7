"""The Pipeline page's table of processes: the release and the handlers of each, and in what they differ."""

import threading
import time
from collections.abc import Sequence
from typing import Any

import tornado.web

from app import doctor
from app.doctor import Worker
from app.flower.base import ApiHandler
from app.stores import redis
from config.settings import settings

KEPT_SECONDS = 10.0  # an answer serves all pages that are open: each worker is asked once in so long


class ProcessBoard:
    """Asks all processes what they are, and keeps the answer for a moment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked_at = float("-inf")
        self._workers: list[Worker] = []

    def workers(self) -> list[Worker]:
        """Return what all processes say of themselves; those that do not answer are left out."""
        with self._lock:
            if time.monotonic() - self._asked_at > KEPT_SECONDS:
                self._workers = doctor.ask_workers(settings()) + doctor.others(redis())
                self._asked_at = time.monotonic()
            return self._workers


board = ProcessBoard()


class ProcessTable(ApiHandler):
    """Each process with release, queues and handlers; and what is wrong if they differ."""

    @tornado.web.authenticated
    async def get(self) -> None:
        workers = await self.run(board.workers)
        findings = doctor.differences(workers, "this Flower")
        self.answer(processes=shown(workers), findings=[{"what": f.what, "fix": f.fix} for f in findings])


def shown(workers: Sequence[Worker]) -> list[dict[str, Any]]:
    """Return a line for each process. Pure: no I/O."""
    lacking = doctor.lacking(workers)
    return [
        {
            "name": worker.name,
            "release": worker.release,
            "queues": sorted(worker.queues),
            "handlers": sorted(worker.handlers),
            "lacking": lacking.get(worker.name, []),
        }
        for worker in sorted(workers, key=lambda worker: worker.name)
    ]
