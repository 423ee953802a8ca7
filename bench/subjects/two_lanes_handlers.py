"""Two handlers for each message, in lanes of their own, which write a row each."""

from app.handlers import Context, Event, on_message
from bench.subjects.note import insert_row


@on_message()
def answer(event: Event, ctx: Context) -> None:
    insert_row(event, ctx)


@on_message(lane="crm")
def note_for_the_crm(event: Event, ctx: Context) -> None:
    insert_row(event, ctx, "/crm")
