"""A handler to begin with: it notes each text message, says it back, and fails on request.

Load it with ``HANDLERS=app.handlers.echo``. A text that starts with ``fail N`` fails its first N attempts and one
that starts with ``fail always`` is dead after three, so that retries and dead letters can be tried out from a
phone or with ``neverdrop simulate``.
"""

from datetime import datetime

from sqlalchemy import DateTime, delete, func
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.handlers import Context, Event, on_erase, on_message
from app.stores import Base
from config.settings import settings


class Echo(Base):
    """What the bot was told, one row per message."""

    __tablename__ = "echoes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # the event's
    conversation: Mapped[str | None]
    text: Mapped[str]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.clock_timestamp())


@on_erase
def erase(names: frozenset[str], session: Session) -> None:
    """Delete what a person said."""
    for name in names:
        session.execute(delete(Echo).where(Echo.conversation.endswith(f"/{name}", autoescape=True)))


@on_message("text", max_attempts=3, base_seconds=0.5)
def echo(event: Event, ctx: Context) -> None:
    """Note the text and send it back where there is a token to send with; obey ``fail``."""
    text = (event.text or "").replace("\x00", "\ufffd")
    command, _, times = text.partition(" ")
    if command == "fail" and (times.startswith("always") or _number(times) >= ctx.attempt):
        raise RuntimeError("the message asked to fail")
    note = Echo(id=event.id, conversation=event.conversation, text=text)
    if ctx.replayed:  # it may be there already
        ctx.session.merge(note)
    else:
        ctx.session.add(note)
    if text and settings().access_tokens:
        ctx.reply(text)


def _number(words: str) -> int:
    first = words.split(" ", 1)[0]
    return int(first) if first.isdecimal() and len(first) < 4 else 0
