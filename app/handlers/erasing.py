"""What handlers have to delete when a person is erased: ``@on_erase``."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.handlers.options import HandlerError, name_of

Erase = Callable[[frozenset[str], Session], Any]
F = TypeVar("F", bound=Erase)


class EraseHooks:
    """The functions that delete what handlers keep of a person, in the order in which they were registered."""

    def __init__(self) -> None:
        self._hooks: dict[str, Erase] = {}  # by name: a module that is imported anew replaces its own

    def add(self, hook: Erase) -> None:
        """Register a function; HandlerError for one that does not take the names and a session."""
        name = name_of(hook)
        try:
            inspect.signature(hook).bind(frozenset(), None)
        except (TypeError, ValueError) as error:
            raise HandlerError(f"{name}: a function of @on_erase takes (names, session): {error}") from error
        if inspect.iscoroutinefunction(hook) or inspect.isgeneratorfunction(hook):
            raise HandlerError(f"{name}: a function of @on_erase is a plain def")
        self._hooks[name] = hook

    def run(self, connection: Connection, names: Iterable[str]) -> None:
        """Run each in the connection's transaction; HandlerError names the one that failed."""
        for name, hook in self._hooks.items():
            try:
                with Session(connection) as session:
                    hook(frozenset(names), session)
                    session.flush()
            except Exception as error:
                raise HandlerError(f"{name} of @on_erase failed: {type(error).__name__}: {error}") from error


erase_hooks = EraseHooks()


def on_erase(hook: F) -> F:
    """Run a function, in the transaction of an erasure, with the person's names and a session.

    Names are phone numbers and user ids. It deletes what handlers keep of the person in this database, or elsewhere so
    that doing it twice does no harm.
    """
    erase_hooks.add(hook)
    return hook
