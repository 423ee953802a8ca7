"""A question to a store that may never answer: asked in a thread, waited for only so long.

A Postgres that is stopped, not gone, still takes packets: no timeout of the client ends the wait for it.
At most one question of a probe is under way, so that a store that hangs costs one thread and one connection.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class _Question(threading.Thread, Generic[T]):
    def __init__(self, ask: Callable[[], T]) -> None:
        super().__init__(name="probe", daemon=True)
        self._ask = ask
        self._answer: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._answer = self._ask()
        except BaseException as error:
            self._error = error

    def answer(self) -> T:
        if self._error is not None:
            raise self._error
        return self._answer  # type: ignore[return-value]


class Probe(Generic[T]):
    """``ask`` raises what the question raised, or TimeoutError; the next caller waits for the same one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: _Question[T] | None = None

    def ask(self, question: Callable[[], T], seconds: float) -> T:
        """The answer to ``question``, or to the one that is under way."""
        with self._lock:
            asked = self._under_way
            if asked is None or not asked.is_alive():  # after a fork the parent's thread is not alive here
                asked = self._under_way = _Question(question)
                asked.start()
        asked.join(seconds)
        if asked.is_alive():
            raise TimeoutError(f"no answer within {seconds} s")
        return asked.answer()
