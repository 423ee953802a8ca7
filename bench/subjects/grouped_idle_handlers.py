"""A handler that does nothing, with others in one transaction."""

from app.handlers import Context, Event, on_message


@on_message(grouped=True)
def ignore(_event: Event, _ctx: Context) -> None:
    pass
