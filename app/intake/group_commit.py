"""Requests that arrive while a write is under way are written together by the next one.

For one event loop. Nobody is told of success before the write that holds its item was confirmed, and every way out
of a write tells all its members.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

MAX_ITEMS = 64
MAX_BYTES = 1024 * 1024  # a larger item is a group of its own
# A write is bounded by its own store, and comes after those before it; this is for a store that is not
WAIT_SECONDS = 10

Write = Callable[[Sequence[bytes]], Awaitable[None]]


class NotWritten(Exception):
    """The write that held this item failed, or its turn did not come in time; the cause says why."""


class _Group:
    """Items that are written together, and what each of those who submitted them waits for."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.items: list[bytes] = []
        self.size = 0
        self.untold: list[asyncio.Future[None]] = []

    def fits(self, item: bytes) -> bool:
        return len(self.items) < MAX_ITEMS and self.size + len(item) <= MAX_BYTES

    def add(self, item: bytes, told: "asyncio.Future[None]") -> None:
        self.items.append(item)
        self.size += len(item)
        self.untold.append(told)

    def tell(self, error: BaseException | None) -> None:
        for told in self.untold:
            if told.done():  # nobody waits for it any more
                continue
            if error is None:
                told.set_result(None)
            else:
                failure = NotWritten(str(error) or type(error).__name__)
                failure.__cause__ = error
                told.set_exception(failure)


class GroupCommit:
    """Calls ``write`` with one group of items at a time."""

    def __init__(self, write: Write, wait_seconds: float = WAIT_SECONDS) -> None:
        self._write = write
        self._wait_seconds = wait_seconds
        self._waiting: deque[_Group] = deque()
        self._writer: asyncio.Task[None] | None = None

    def submit(self, item: bytes) -> "asyncio.Future[None]":
        """Done when ``item`` has been written; NotWritten when it may not have been."""
        loop = asyncio.get_running_loop()
        if not self._waiting or not self._waiting[-1].fits(item):
            self._waiting.append(_Group(loop.time()))
        told = loop.create_future()
        self._waiting[-1].add(item, told)
        if self._writer is None:
            self._writer = loop.create_task(self._write_all())
        return told

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_group(self._waiting.popleft())
        except BaseException as error:  # the process ends
            while self._waiting:
                self._waiting.popleft().tell(error)
            raise
        finally:
            self._writer = None

    async def _write_group(self, group: _Group) -> None:
        error: BaseException | None = None
        try:
            async with asyncio.timeout_at(group.since + self._wait_seconds):
                await self._write(group.items)
        except Exception as raised:
            error = raised
        except BaseException as raised:
            error = raised
            raise
        finally:
            group.tell(error)
