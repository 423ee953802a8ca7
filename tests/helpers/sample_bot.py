"""A bot for the tests of the test kit: what a text says is what it does."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.handlers import Context, Event, Permanent, RetryAfter, on_message, on_status

PLACE = (53.5, 9.9)
OFFER = {"name": "offer", "language": "en_US"}


class Base(DeclarativeBase):
    """The bot's own tables."""


class Remark(Base):
    """What was written."""

    __tablename__ = "remarks"

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str]


@on_message("text", max_attempts=2, base_seconds=10)
async def text(event: Event, ctx: Context) -> None:
    """Do what the text says; note any other."""
    words = event.text or ""
    await asyncio.sleep(0)
    if words == "busy" and ctx.attempt == 1:
        raise RetryAfter(30)
    if words == "broken":
        raise ValueError("the message asked to fail")
    if words == "refused":
        raise Permanent("never")
    if words == "like":
        ctx.react("👍")
    elif words == "ask":
        ctx.reply("Sure?", buttons=["Yes", "No"])
    elif words == "choose":
        ctx.reply("Which?", list=["Red", "Blue"])
    elif words == "show":
        ctx.reply("a picture", image="https://example.com/a.png")
        ctx.reply("here", location=PLACE)
        ctx.reply(template=OFFER)
    elif words == "remind":
        ctx.reply("It is time.", at=datetime.now(UTC) + timedelta(minutes=10), cancel_key="reminder")
    elif words == "never mind":
        ctx.cancel("reminder")
        ctx.reply("Cancelled.")
    elif words == "wait":
        ctx.typing()
        ctx.reply_now("One moment ...")
        ctx.reply("There.")
    elif words == "late":
        ctx.reply("Still there?", at=datetime.now(UTC) + timedelta(days=2), outside_window=OFFER)
    else:
        ctx.session.add(Remark(event_id=event.id, text=words))
        ctx.reply(f"Noted: {words}")


@on_message("interactive")
def tapped(event: Event, ctx: Context) -> None:
    """Say which was tapped."""
    kind = event.item["interactive"]["type"]
    ctx.reply(f"{event.item['interactive'][kind]['title']} it is.")


@on_message("image")
def picture(_event: Event, ctx: Context) -> None:
    """Say how large a picture is."""
    media = ctx.media()
    if media is not None:
        ctx.reply(f"{len(media.read())} bytes: {media.caption}")


@on_status("read", lane="reads")
def read(event: Event, ctx: Context) -> None:
    """Note that a message was read."""
    ctx.session.add(Remark(event_id=event.id, text="read"))
