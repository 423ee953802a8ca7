"""Questions to the stores, for the tests of ingest."""

from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX
from tests.helpers.core import Core


def journal(core: Core) -> tuple[int, int]:
    return core.redis.hlen(JOURNAL), core.redis.zcard(JOURNAL_INDEX)


def keys(core: Core) -> list[str]:
    return [row.key for row in core.rows("SELECT key FROM event_jobs ORDER BY id")]


def deliveries(core: Core) -> list[tuple[str, int, int]]:
    """State, events accepted and duplicates of each, by acceptance."""
    return [tuple(row) for row in core.rows("SELECT state, events, duplicates FROM deliveries ORDER BY id")]
