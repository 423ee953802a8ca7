"""Hand over to a person, and take back after hours: ``HANDLERS=examples.handover make run``.

Write ``person``. The bot falls silent for eight hours, or until ``neverdrop resume`` of a colleague who is done
earlier; ``neverdrop paused`` lists whom it is silent for. With ``PAUSE_ON_ECHO=8h`` it also falls silent when somebody
answers from the phone. What the user writes meanwhile is for the person: it is not answered afterwards, but kept, and
shown by ``neverdrop trace``.
"""

from app.handlers import Context, Event, hours, on_answer, on_message, on_timeout

SILENT = hours(8)
ASK_AFTER = hours(24)


@on_message("text", "interactive")
def answer(event: Event, ctx: Context) -> None:
    """Answer what a bot can, and hand over where it cannot."""
    said = (
        event.text or event.item.get("interactive", {}).get("button_reply", {}).get("title") or ""
    ).lower()
    if "person" in said:
        ctx.reply("A colleague will answer you here. I am silent meanwhile.")
        ctx.pause(for_=SILENT, why="the user asked for a person", meanwhile="skip")
        ctx.expect("handover.done", timeout=ASK_AFTER)
        return
    ctx.reply("We are open from nine to five. Is there more?", buttons=["Opening hours", "A person"])


@on_answer("handover.done")
def back_again(event: Event, ctx: Context) -> None:
    """Say that it is the bot again, to the first message after the pause."""
    ctx.reply("This is the bot again.")
    answer(event, ctx)


@on_timeout("handover.done")
def ask(_event: Event, ctx: Context) -> None:
    """Ask a day later how it went, if the user has written nothing since and Meta still takes an answer."""
    ctx.reply("Did my colleague help you?", buttons=["Yes", "A person, please"])
