"""Handlers of the browser's test: every text fails while the file that BROKEN names is there."""

import os
from pathlib import Path

from app.handlers import Context, Event, Permanent, on_message


@on_message("text")
def answer(event: Event, ctx: Context) -> None:
    if Path(os.environ["BROKEN"]).exists():
        raise Permanent("the shop's service is down")


@on_message("image")
def store(event: Event, ctx: Context) -> None:
    raise Permanent("pictures cannot be stored")
