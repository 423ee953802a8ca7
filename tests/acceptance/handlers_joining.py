"""The bot of the test of bursts: it keeps each list that it was given, once, in the dialog of the conversation."""

from app.handlers import Context, Event, on_message


@on_message("text", join=1.0, base_seconds=0.1, cap_seconds=0.5)
def take(events: list[Event], ctx: Context) -> None:
    texts = [event.text for event in events]
    ctx.state.setdefault("lists", []).append(texts)
    if ctx.attempt == 1 and len(texts) % 3 == 0:
        raise ValueError("a third of the lists fails once")


@on_message("image")
def flush(_event: Event, ctx: Context) -> None:
    ctx.state.setdefault("pictures", []).append(1)
