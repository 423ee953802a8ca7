"""Where a page of the table goes on, under a name that says nothing: what a table is sorted by may be a person's."""

from collections import OrderedDict
from secrets import token_urlsafe

from app.flower.parameters import BadRequest

MAX_CURSORS = 10_000

Position = tuple[str, int]  # what the last line is sorted by, and its id


class Cursors:
    """The positions that this process gave names to, the latest MAX_CURSORS."""

    def __init__(self) -> None:
        self._names: OrderedDict[Position, str] = OrderedDict()
        self._positions: dict[str, Position] = {}

    def name(self, position: Position) -> str:
        """Return the position's name, the same each time."""
        if position not in self._names:
            self._names[position] = token_urlsafe(12)
            self._positions[self._names[position]] = position
            if len(self._names) > MAX_CURSORS:
                del self._positions[self._names.popitem(last=False)[1]]
        self._names.move_to_end(position)
        return self._names[position]

    def position(self, name: str) -> Position:
        """Return the position; BadRequest for a name that this process does not know any more."""
        try:
            return self._positions[name]
        except KeyError:
            raise BadRequest("this page is too old to go on from: begin at the first one") from None
