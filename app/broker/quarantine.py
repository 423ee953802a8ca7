"""Keep messages that cannot be run where they harm nobody, and count them.

Nothing is lost with them: a delivery stays in the journal and a lane in the tables, and a sweep enqueues a good
message for either. They are kept for whoever asks where they came from.
"""

import json
import time
from base64 import b64encode

from app.stores import QUARANTINE, QUARANTINE_COUNTS, redis
from config.logging import describe, get_logger

MAX_KEPT = 1_000  # the newest
MAX_KEPT_BYTES = 65_536  # of each

log = get_logger(__name__)


def quarantine(queue: str, message: bytes | str, error: Exception) -> None:
    """Keep a message that was taken out of ``queue``. Raises RedisError."""
    raw = message.encode("utf-8", "surrogateescape") if isinstance(message, str) else message
    entry = {
        "queue": queue,
        "error": describe(error),
        "at": round(time.time()),
        "bytes": len(raw),
        "message": b64encode(raw[:MAX_KEPT_BYTES]).decode(),
    }
    log.error("message.quarantined", queue=queue, error=entry["error"], size=len(raw))
    with redis().pipeline(transaction=True) as pipe:
        pipe.lpush(QUARANTINE, json.dumps(entry))
        pipe.ltrim(QUARANTINE, 0, MAX_KEPT - 1)
        pipe.hincrby(QUARANTINE_COUNTS, queue, 1)
        pipe.execute()
