"""What a decision about many events asks of the module that finds them."""

from typing import Protocol

from sqlalchemy import Connection

from app.views.filter import Filter


class Listing(Protocol):
    """``app.views.dead_letters`` or ``app.views.held``."""

    def count(self, connection: Connection, filter_: Filter, /) -> int: ...

    def whole_lanes(
        self, connection: Connection, filter_: Filter, after_lane: int, at_least: int, /
    ) -> tuple[list[int], int | None]: ...
