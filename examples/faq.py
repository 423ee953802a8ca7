"""Frequently asked questions, with buttons: ``HANDLERS=examples.faq make run``."""

from app.handlers import Context, Event, on_message

ANSWERS = {
    "hours": ("Opening hours", "We open at nine and close at six, Monday to Saturday."),
    "place": ("Where we are", "1 Harbour Street, beside the lighthouse."),
    "person": ("Talk to a person", "A person will write to you within the hour."),
}
PLACE = (53.5436, 9.9661)  # latitude and longitude, in degrees


@on_message("text")
def greet(event: Event, ctx: Context) -> None:
    """Answer a word that is known, else offer the questions."""
    asked = (event.text or "").casefold()
    for key, (title, _) in ANSWERS.items():
        if key in asked or title.casefold() in asked:
            answer(key, ctx)
            return
    ctx.reply(
        "Hello! What would you like to know?", buttons={key: title for key, (title, _) in ANSWERS.items()}
    )


@on_message("interactive")
def tapped(event: Event, ctx: Context) -> None:
    """Answer the button that was tapped."""
    reply = event.item["interactive"].get("button_reply", {})
    answer(reply.get("id", ""), ctx)


@on_message()
def anything_else(_event: Event, ctx: Context) -> None:
    """Say what is understood: pictures and voice messages are not."""
    ctx.reply("I can read text only. Ask me for our hours, our place, or a person.")


def answer(key: str, ctx: Context) -> None:
    """Send an answer; where we are also as a place on the map."""
    _, text = ANSWERS.get(key, ("", "That question is new to me."))
    ctx.reply(text)
    if key == "place":
        ctx.reply("The shop", location=PLACE)
