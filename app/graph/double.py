"""Let something in this process play Meta: for tests, which have no network between handlers and it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

Play = Callable[[httpx.Request], httpx.Response]


class _Double:
    """Who plays Meta, if not Meta, and the clients that are to be opened anew when that changes."""

    transport: httpx.MockTransport | None = None

    def __init__(self) -> None:
        self.resets: list[Callable[[], object]] = []

    def set(self, transport: httpx.MockTransport | None) -> None:
        self.transport = transport
        for reset in self.resets:
            reset()


_double = _Double()


def transport() -> httpx.MockTransport | None:
    """Return what a client is to send its requests through; None is the network."""
    return _double.transport


def when_changed(reset: Callable[[], object]) -> None:
    """Call this when another one plays Meta."""
    _double.resets.append(reset)


def open_anew(kept: "_lru_cache_wrapper[httpx.Client]") -> None:
    """Close the client that a cached function keeps, if there is one: the next is another."""
    if kept.cache_info().currsize:
        kept().close()
    kept.cache_clear()


@contextmanager
def answered_by(play: Play) -> Iterator[None]:
    """Inside the block every request to Meta is answered by ``play``, in this process."""
    before = _double.transport
    _double.set(httpx.MockTransport(play))
    try:
        yield
    finally:
        _double.set(before)
