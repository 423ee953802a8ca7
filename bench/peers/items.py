"""What the peers share: the signature, the items of a body, and the row that is written for each of them."""

import hashlib
import hmac
import json
import os
import threading
import time
from functools import cache
from typing import Any

import psycopg2
import redis

SEEN_SECONDS = 7 * 24 * 3600  # as long as Meta may send an item again
TABLE = """
CREATE TABLE IF NOT EXISTS bench_rows (
  key text PRIMARY KEY, kind text NOT NULL, body text NOT NULL, started_at double precision NOT NULL
)
"""
INSERT = "INSERT INTO bench_rows (key, kind, body, started_at) VALUES (%s, %s, %s, %s)"


_own = threading.local()


def signed(raw: bytes, header: str) -> bool:
    secret = os.environ["WHATSAPP_APP_SECRET"].encode()
    expected = "sha256=" + hmac.new(secret, raw, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, header)


@cache
def _redis() -> Any:
    return redis.Redis.from_url(os.environ["REDIS_URL"])


def _database() -> Any:
    """One connection a thread; each statement commits itself."""
    if not hasattr(_own, "connection"):
        _own.connection = psycopg2.connect(os.environ["DATABASE_URL"])
        _own.connection.autocommit = True
    return _own.connection


def handle(raw: str) -> None:
    """Every item of a body, once."""
    started_at = time.time()
    for entry in json.loads(raw)["entry"]:
        for change in entry["changes"]:
            value = change["value"]
            for message in value.get("messages", ()):
                _note(message["id"], "message", message, started_at)
            for status in value.get("statuses", ()):
                _note(f"{status['id']}:{status['status']}", "status", status, started_at)


def _note(key: str, kind: str, item: dict[str, Any], started_at: float) -> None:
    if _redis().set(f"seen:{key}", 1, nx=True, ex=SEEN_SECONDS):
        insert(key, kind, item, started_at)


def insert(key: str, kind: str, item: dict[str, Any], started_at: float) -> None:
    with _database().cursor() as cursor:
        cursor.execute(INSERT, (key, kind, json.dumps(item), started_at))
