"""A handler that does nothing: what is left is Neverdrop's own."""

from app.handlers import Context, Event, on_message


@on_message()
def ignore(_event: Event, _ctx: Context) -> None:
    pass
