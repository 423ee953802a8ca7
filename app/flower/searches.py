"""Log what users look for: who may not see personal data could find it out by searches."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

from config.logging import get_logger

MAX_REMEMBERED = 10_000
# Members whose value may be a person's, of a request or of these members of it
PERSONAL = ("conversation", "error", "search", "looked_for")
INSIDE = ("filter", "choice")

log = get_logger(__name__)


class Searches:
    """Logs each search of a user once: a page repeats it every few seconds."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def log_once(self, user: str | None, where: str, asked: Mapping[str, Any]) -> None:
        """Log who looked where and by which filters, not what for; nothing if none of them may be personal."""
        looked_for = dict(_personal(asked))
        if not looked_for:
            return
        words = [user or "", where, *(f"{name}={value}" for name, value in looked_for.items())]
        digest = sha256("\0".join(words).encode("utf-8", "surrogatepass")).digest()
        if digest not in self._seen:
            self._seen[digest] = None
            if len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)
            log.info("personal_data.searched", who=user, where=where, filters=list(looked_for))


def _personal(asked: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for part in (asked, *(asked.get(name) for name in INSIDE)):
        if isinstance(part, Mapping):
            yield from ((name, part[name]) for name in PERSONAL if part.get(name))
