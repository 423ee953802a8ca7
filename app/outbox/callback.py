"""The data that Meta repeats in every status of a message we sent. Pure: no I/O.

Each app that is subscribed to the account can read it: a random number of ours, and nothing about a person.
"""

from uuid import UUID

PREFIX = "neverdrop:"


def data_of(callback: UUID) -> str:
    """Return a send's callback data."""
    return f"{PREFIX}{callback.hex}"


def find(data: str | None) -> UUID | None:
    """Return the callback in a status's data; None where the message was not sent through an outbox."""
    if data is None or not data.startswith(PREFIX):
        return None
    try:
        return UUID(hex=data.removeprefix(PREFIX))
    except ValueError:
        return None
