"""Requests that arrive while a write is under way are written together by the next one.

The first member of a group is its leader. It waits for its turn to write, and while it waits the group
fills; then it closes the group, writes all of it at once, and tells the others how it went. Nobody is told
of success before the write that holds its item was confirmed, and every way out of the leader's part tells.
"""

import threading
from collections.abc import Callable, Sequence

MAX_ITEMS = 64
MAX_BYTES = 1024 * 1024  # a larger item is a group of its own
# A turn comes after the writes before it, each bounded by its own store; this is for a store that is not
WAIT_SECONDS = 10


class NotWritten(Exception):
    """The write that held this item failed, or its turn did not come in time; the cause says why."""


class _Group:
    def __init__(self) -> None:
        self.items: list[bytes] = []
        self.size = 0
        self.untold: list[threading.Lock] = []  # of each member but the leader, held until it is told
        self.error: BaseException | None = None

    def fits(self, item: bytes) -> bool:
        return len(self.items) < MAX_ITEMS and self.size + len(item) <= MAX_BYTES

    def add(self, item: bytes) -> None:
        self.items.append(item)
        self.size += len(item)


class GroupCommit:
    """Calls ``write`` with one group of items at a time, in the threads of those who submit them."""

    def __init__(self, write: Callable[[Sequence[bytes]], None], wait_seconds: float = WAIT_SECONDS) -> None:
        self._write = write
        self._wait_seconds = wait_seconds
        self._writing = threading.Lock()
        self._joining = threading.Lock()
        self._open: _Group | None = None

    def submit(self, item: bytes) -> None:
        """Returns when ``item`` has been written; NotWritten when it may not have been."""
        group, told = self._join(item)
        if told is None:
            self._lead(group)
        elif not told.acquire(timeout=2 * self._wait_seconds):
            raise NotWritten("no answer from the leader of the group")
        if group.error is not None:
            raise NotWritten(str(group.error)) from group.error

    def _join(self, item: bytes) -> "tuple[_Group, threading.Lock | None]":
        """The group, and for those who do not lead it the lock that they get when it is written."""
        with self._joining:
            group = self._open
            if group is None or not group.fits(item):
                self._open = group = _Group()  # one that is full goes on with the leader it has
                group.add(item)
                return group, None
            group.add(item)
            told = threading.Lock()
            told.acquire()
            group.untold.append(told)
            return group, told

    def _lead(self, group: _Group) -> None:
        try:
            self._write_in_turn(group)
        except Exception as error:
            group.error = error
        except BaseException as error:
            group.error = error
            raise
        finally:
            self._close(group)
            for told in group.untold:
                told.release()

    def _write_in_turn(self, group: _Group) -> None:
        if not self._writing.acquire(timeout=self._wait_seconds):
            raise NotWritten("the writes before it take too long")
        try:
            self._close(group)
            self._write(group.items)
        finally:
            self._writing.release()

    def _close(self, group: _Group) -> None:
        with self._joining:
            if self._open is group:
                self._open = None
