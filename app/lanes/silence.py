"""For how long something has not changed, by this process's own clock, which nobody can set. Pure: no I/O."""

from collections.abc import Hashable, Mapping
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

MAX_GAP_SECONDS = 3.0  # between two looks: after a longer one it is we who were away


class Silence(Generic[Key]):
    """Remembers what was seen, and since when it has been the same.

    Whoever looked last a while ago (it was stopped, or Redis was away) knows nothing of the time in between: all that
    it sees then counts as new.
    """

    def __init__(self) -> None:
        self._looked_at = float("-inf")
        self._seen: dict[Key, tuple[Any, float]] = {}

    def look(self, now: float, found: Mapping[Key, Any]) -> dict[Key, float]:
        """Return for how many seconds each has been as it is."""
        known = self._seen if now - self._looked_at <= MAX_GAP_SECONDS else {}
        self._looked_at = now
        self._seen = {
            key: known[key] if key in known and known[key][0] == value else (value, now)
            for key, value in found.items()
        }
        return {key: now - since for key, (_, since) in self._seen.items()}
