"""A handler that is in the middle of its first attempt until it is killed; the second one ends at once."""

import os
import time

from app.handlers import Context, Event, on_message

HOLD_SECONDS = float(os.environ.get("BENCH_HOLD_SECONDS", "60"))


@on_message()
def hold(_event: Event, ctx: Context) -> None:
    if ctx.attempt == 1:
        time.sleep(HOLD_SECONDS)
