"""The web with a clock that is ahead: ``uvicorn tests.chaos.fast_clock:app``.

Only the clock that names deliveries is moved, since that is the one whose order the promises speak of.
"""

from typing import Any

from app.stores import delivery_id
from app.web import process as web

AHEAD_SECONDS = 5
delivery_id._WALL_AT_START_NS += AHEAD_SECONDS * 1_000_000_000


def __getattr__(name: str) -> Any:
    if name == "app":
        return web.start()
    raise AttributeError(name)
