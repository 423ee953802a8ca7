"""The state of one stand-in: chats, faults, and the statuses that it reports."""

import asyncio
from collections import deque
from typing import Any

from app.dev.graph.app_setup import AppSetup
from app.dev.graph.chats import LADDER, Chats
from app.dev.graph.faults import Faults
from app.dev.graph.webhooks import Webhooks

STATUS_SECONDS = 0.05  # between two steps of the ladder


class StandIn:
    """One stand-in."""

    def __init__(self, webhook_url: str, secret: str, level: str = "HIGH") -> None:
        self.chats = Chats()
        self.faults = Faults()
        self.refusals: deque[int] = deque()  # the codes that the next messages are answered by
        self.level = level
        self.webhooks = Webhooks(webhook_url, secret)
        self.setup = AppSetup(secret, webhook_url)  # as if a person had connected it
        self.signals: list[
            dict[str, Any]
        ] = []  # requests that mark a message as read, with typing or without
        self.posts = 0  # requests to /messages, whatever became of them
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def read_marks(self) -> int:
        """How many requests marked a message as read, with typing or without."""
        return len(self.signals)

    @property
    def is_reporting(self) -> bool:
        """Whether something is still to be posted to the webhook."""
        return bool(self._tasks)

    def spawn(self, coroutine: Any) -> None:
        """Run something beside the answer."""
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def climb(self, message: Any, first: int = 0) -> None:
        """Report the statuses of a message, one after the other."""
        ladder = LADDER if self.faults.read else LADDER[:2]
        failed = self.faults.failed and (message.order % 100) < self.faults.failed * 100
        for status in ladder[first:]:
            await asyncio.sleep(STATUS_SECONDS)
            if failed and status == "delivered":
                message.status = "failed"
                error = {"code": 131026, "title": "Message undeliverable"}
                await self.webhooks.status(message, "failed", [error])
                return
            message.status = status
            await self.webhooks.status(message, status)
