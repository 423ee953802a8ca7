"""Order status, with a table of its own in the same transaction: ``HANDLERS=examples.orders make run``.

Write ``order tea`` to order, ``status 1`` to ask, ``cancel 1`` to cancel. The row and the answer are committed
together: no order without an answer, and no answer without an order, whatever dies.
"""

import re

from sqlalchemy import select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.handlers import Context, Event, on_message, on_start
from app.stores import engine

HELP = "Write “order tea”, “status 1” or “cancel 1”."
COMMAND = re.compile(r"(order|status|cancel)\s+(.{1,200})", re.IGNORECASE | re.DOTALL)
LOCK = text("SELECT pg_advisory_xact_lock(hashtext('examples.orders'))")


class Base(DeclarativeBase):
    """The bot's own tables."""


class Order(Base):
    """One order. Its number is the event's, so that a second attempt cannot order twice."""

    __tablename__ = "example_orders"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    conversation: Mapped[str]
    what: Mapped[str]
    state: Mapped[str]


@on_start
def create_tables() -> None:
    """Create the table where it is missing. A bot in production has migrations of its own instead."""
    with engine().begin() as connection:
        connection.execute(LOCK)  # of several processes that start at once one creates it
        Base.metadata.create_all(connection)


@on_message("text")
def handle(event: Event, ctx: Context) -> None:
    """Order, tell the state of an order, or cancel one."""
    found = COMMAND.fullmatch((event.text or "").strip())
    if found is None:
        ctx.reply(HELP)
        return
    command, rest = found[1].lower(), found[2]
    if command == "order":
        ctx.session.add(Order(number=event.id, conversation=event.conversation, what=rest, state="ordered"))
        ctx.reply(f"Order {event.id}: {rest}. Write “status {event.id}” to ask how it goes.")
        return
    order = find(ctx, event, rest)
    if order is None:
        ctx.reply(f"There is no order {rest} of yours.")
        return
    if command == "cancel":
        order.state = "cancelled"
    ctx.reply(f"Order {order.number}, {order.what}: {order.state}.")


def find(ctx: Context, event: Event, number: str) -> Order | None:
    """Return the order of this user with this number; None where there is none, or it is another user's."""
    if not number.isdecimal() or len(number) > 18:
        return None
    asked = select(Order).where(Order.number == int(number), Order.conversation == event.conversation)
    return ctx.session.scalars(asked).one_or_none()
