"""Keep messages that cannot be run where they harm nobody, count them, and let people see and drop them.

Nothing is lost with them: a delivery stays in the journal and a lane in the tables, and a sweep enqueues a good
message for either. They are kept for whoever asks where they came from.
"""

import json
import time
import uuid
from base64 import b64decode, b64encode
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from pydantic import TypeAdapter
from redis import Redis

from app.stores import QUARANTINE, QUARANTINE_COUNTS
from app.stores import redis as redis_of_process
from config.logging import describe, get_logger

MAX_KEPT = 1_000  # the newest
MAX_KEPT_BYTES = 65_536  # of each

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message that could not be run."""

    id: str
    queue: str  # that it was taken from
    error: str
    at: int  # Unix seconds
    size: int  # of the whole message, bytes
    message: bytes  # its first MAX_KEPT_BYTES


ENTRY = TypeAdapter(Quarantined)


def quarantine(queue: str, message: bytes | str, error: Exception) -> None:
    """Keep a message that was taken out of ``queue``. Raises RedisError."""
    raw = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    entry = {
        "id": uuid.uuid4().hex[:12],
        "queue": queue,
        "error": describe(error),
        "at": round(time.time()),
        "size": len(raw),
        "message": b64encode(raw[:MAX_KEPT_BYTES]).decode(),
    }
    log.error("message.quarantined", id=entry["id"], queue=queue, error=entry["error"], size=len(raw))
    with redis_of_process().pipeline(transaction=True) as pipe:
        pipe.lpush(QUARANTINE, json.dumps(entry))
        pipe.ltrim(QUARANTINE, 0, MAX_KEPT - 1)
        pipe.hincrby(QUARANTINE_COUNTS, queue, 1)
        pipe.execute()


def quarantined(redis: "Redis") -> list[Quarantined]:
    """Return the messages that are kept, the newest first. RedisError without Redis."""
    return [_decode(raw) for raw in _entries(redis)]


def drop_quarantined(redis: "Redis", ids: Collection[str]) -> int:
    """Drop messages that somebody has looked at; how many were there. RedisError without Redis."""
    chosen = [raw for raw in _entries(redis) if _decode(raw).id in ids]
    if not chosen:
        return 0
    with redis.pipeline(transaction=False) as pipe:
        for raw in chosen:
            pipe.lrem(QUARANTINE, 0, raw)  # type: ignore[arg-type]  # bytes will do
        return sum(pipe.execute())


def _entries(redis: "Redis") -> Sequence[bytes]:
    entries: Any = redis.lrange(QUARANTINE, 0, -1)
    return list(entries)


def _decode(raw: bytes) -> Quarantined:
    """Read an entry; what is none of ours is shown as what it is."""
    try:
        entry = json.loads(raw)
        message = ENTRY.validate_python(entry | {"message": b64decode(entry["message"])})
        datetime.fromtimestamp(message.at, UTC)
    except (ValueError, TypeError, LookupError, OverflowError, OSError, RecursionError):
        id_ = sha256(raw).hexdigest()[:12]
        return Quarantined(id_, "", "no entry of Neverdrop's", 0, len(raw), raw[:MAX_KEPT_BYTES])
    return message
