"""The bot of the test of replies: it says each text back, once."""

from app.handlers import Context, Event, on_message


@on_message("text", base_seconds=0.2, cap_seconds=1.0)
def answer(event: Event, ctx: Context) -> None:
    ctx.reply(event.text)
