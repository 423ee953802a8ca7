"""An assistant that thinks for seconds, as a language model does: ``HANDLERS=examples.assistant make run``.

It shows that it types, reads the answer piece by piece from a stream, and replies once. ``stream`` is a stand-in: put
your model's client in its place. While it thinks, its pool process serves nobody else: run more workers.
"""

import asyncio
from collections.abc import AsyncIterator

from app.handlers import Context, Event, RetryAfter, on_message

PIECE_SECONDS = 0.2
MAX_LENGTH = 4000
BUSY = "busy"  # a text that makes the stand-in refuse, as a model does that is asked too often


class ModelBusy(Exception):
    """The model takes no question now."""


@on_message("text", max_attempts=5, time_limit_seconds=45)
async def answer(event: Event, ctx: Context) -> None:
    """Type, think, reply. An attempt that fails sends nothing but the first words, which are sent once."""
    ctx.typing()
    if len(event.text or "") > 200:
        ctx.reply_now("That is long: one moment, please.", step="moment")
    try:
        pieces = [piece async for piece in stream(event.text or "", ctx.attempt)]
    except ModelBusy as error:
        raise RetryAfter(1, "the model is busy") from error
    ctx.reply("".join(pieces)[:MAX_LENGTH] or "I have no answer to that.")


async def stream(question: str, attempt: int) -> AsyncIterator[str]:
    """Yield an answer piece by piece, as a model's client does."""
    if question == BUSY and attempt == 1:
        raise ModelBusy
    for piece in ("You asked: ", question, "\n", "I would ask that too."):
        await asyncio.sleep(PIECE_SECONDS)
        yield piece
