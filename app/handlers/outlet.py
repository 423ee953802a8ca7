"""Where what a handler sends is written: into the outbox, or in a test of a handler alone into a double of it."""

from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from app import outbox
from app.outbox import NewSend
from app.stores import engine


class Outlet(Protocol):
    """What sends are written through; see ``Outbox`` for what each does."""

    def write(self, connection: Connection, send: NewSend) -> bool: ...

    def write_now(self, send: NewSend) -> bool: ...

    def cancel(self, connection: Connection, number: str, key: str) -> int: ...

    def find_conversation(
        self, connection: Connection, number: str, recipient: str
    ) -> tuple[str, datetime | None] | None: ...


class Outbox:
    """The outbox of this process's Postgres."""

    def write(self, connection: Connection, send: NewSend) -> bool:
        """Write a send in the handler's transaction; return whether the step is new."""
        return outbox.write(connection, send)

    def write_now(self, send: NewSend) -> bool:
        """Write a send in a commit of its own; return whether the step is new."""
        with engine().begin() as connection:
            return outbox.write(connection, send)

    def cancel(self, connection: Connection, number: str, key: str) -> int:
        """Cancel sends of this key that have not left, if the handler commits; return how many."""
        return outbox.cancel(connection, number, key)

    def find_conversation(
        self, connection: Connection, number: str, recipient: str
    ) -> tuple[str, datetime | None] | None:
        """Return a recipient's conversation and when the user last wrote in it; None where there is none."""
        return outbox.find_conversation(connection, number, recipient)
