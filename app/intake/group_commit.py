"""Write requests that arrive while a write is under way together, in the next write.

For one event loop. An item's future is resolved only after the write of its group, and every exit path of a write
resolves the futures of its whole group.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

MAX_ITEMS = 64
MAX_BYTES = 1024 * 1024  # a larger item is a group of its own
# From the first item of a group, also while it waits for the groups before it. Each store has a shorter timeout of its
# own; this one is for a store whose timeout fails.
WAIT_SECONDS = 10

Write = Callable[[Sequence[bytes]], Awaitable[None]]


class NotWritten(Exception):
    """The write that held this item failed, or did not begin in time; ``__cause__`` says why."""


class _Group:
    """Items that are written together, and a future for each of them."""

    def __init__(self, now: float) -> None:
        self.since = now
        self.items: list[bytes] = []
        self.size = 0
        self.waiters: list[asyncio.Future[None]] = []

    def fits(self, item: bytes) -> bool:
        return len(self.items) < MAX_ITEMS and self.size + len(item) <= MAX_BYTES

    def add(self, item: bytes, future: "asyncio.Future[None]") -> None:
        self.items.append(item)
        self.size += len(item)
        self.waiters.append(future)

    def resolve(self, error: BaseException | None) -> None:
        for future in self.waiters:
            if future.done():  # cancelled: its caller has gone
                continue
            if error is None:
                future.set_result(None)
            else:
                failure = NotWritten(str(error) or type(error).__name__)
                failure.__cause__ = error
                future.set_exception(failure)


class GroupCommit:
    """Calls ``write`` with one group of items at a time."""

    def __init__(self, write: Write, wait_seconds: float = WAIT_SECONDS) -> None:
        self._write = write
        self._wait_seconds = wait_seconds
        self._waiting: deque[_Group] = deque()
        self._writer: asyncio.Task[None] | None = None

    def submit(self, item: bytes) -> "asyncio.Future[None]":
        """Return a future that is done when ``item`` is written, and fails with NotWritten when it may not be."""
        loop = asyncio.get_running_loop()
        if not self._waiting or not self._waiting[-1].fits(item):
            self._waiting.append(_Group(loop.time()))
        future = loop.create_future()
        self._waiting[-1].add(item, future)
        if self._writer is None:
            self._writer = loop.create_task(self._write_all())
        return future

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_group(self._waiting.popleft())
        except BaseException as error:  # the process ends
            while self._waiting:
                self._waiting.popleft().resolve(error)
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
            group.resolve(error)
