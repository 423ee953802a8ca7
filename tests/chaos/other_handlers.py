"""The handlers of another release, for HANDLERS: of the same types, under other names, and they leave no row.

Whatever a worker with these finishes is an event that is done without its effect.
"""

from app.handlers import Context, Event, on_message, on_status


@on_message()
def answer(event: Event, ctx: Context) -> None:
    """Do what another release did."""


@on_status()
def follow(event: Event, ctx: Context) -> None:
    """Do what another release did."""
