"""Log what users look for: who may not see personal data could find it out by searches."""

from collections import OrderedDict
from hashlib import sha256

from config.logging import get_logger

MAX_REMEMBERED = 10_000
# Filters whose value may be a person's
PERSONAL = ("conversation", "error", "search")

log = get_logger(__name__)


class Searches:
    """Logs each search of a user once: a page repeats it every few seconds."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def log_once(self, user: str | None, filters: dict[str, str], num_found: int) -> None:
        """Log who looked by which filters and how many were found, not what for."""
        looked_for = [f"{name}={filters[name]}" for name in PERSONAL if filters.get(name)]
        if not looked_for:
            return
        digest = sha256("\0".join([user or "", *looked_for]).encode("utf-8", "surrogatepass")).digest()
        if digest not in self._seen:
            self._seen[digest] = None
            if len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)
            names = [name for name in PERSONAL if filters.get(name)]
            log.info("dead_letters.searched", who=user, filters=names, found=num_found)
