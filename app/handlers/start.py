"""What is to be done once in each process before it runs its first handler: ``@on_start``.

Handler modules are imported before Celery forks its pool, so a client that is made at import is shared by all of its
processes. A hook makes it in the process that uses it.
"""

import inspect
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from app.handlers import coroutines
from app.handlers.options import HandlerError, name_of
from config.logging import get_logger

F = TypeVar("F", bound=Callable[[], Any])

log = get_logger(__name__)


class StartHooks:
    """The hooks of a process, in the order in which they were registered."""

    def __init__(self) -> None:
        self.hooks: list[Callable[[], Any]] = []
        self._started = 0  # hooks that have run in this process
        self._running = threading.Lock()

    def add(self, hook: Callable[[], Any]) -> None:
        """Register a hook; HandlerError for what cannot be called without arguments."""
        name = name_of(hook)
        try:
            inspect.signature(hook).bind()
        except (TypeError, ValueError) as error:
            raise HandlerError(f"{name}: a function of @on_start takes no arguments: {error}") from error
        if inspect.isgeneratorfunction(hook) or inspect.isasyncgenfunction(hook):
            raise HandlerError(f"{name} is a generator, whose code would not run: take the yield out of it")
        self.hooks.append(hook)

    def run(self) -> None:
        """Run the hooks that have not run in this process; raises what a hook raises, which is run again next time."""
        if self._started == len(self.hooks):
            return
        with self._running:
            while self._started < len(self.hooks):
                hook = self.hooks[self._started]
                answer = hook()
                if inspect.iscoroutine(answer):
                    coroutines.run(answer)
                self._started += 1
                log.info("handlers.started", hook=name_of(hook), pid=os.getpid())

    def reset(self) -> None:
        """Begin anew, in a process that was forked."""
        self._started = 0
        self._running = threading.Lock()


start_hooks = StartHooks()
os.register_at_fork(after_in_child=start_hooks.reset)


def on_start(hook: F) -> F:
    """Run a function once in each process, before its first handler; an ``async def`` on the loop of the handlers."""
    start_hooks.add(hook)
    return hook
