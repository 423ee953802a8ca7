"""What an answer of Graph's says about a send: accepted, surely not sent, or unknown. Pure: no I/O.

Unknown is what may have been sent without our hearing of it: it is never sent again by itself.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

from app.graph.codes import Remedy, remedy_for

MAX_SHOWN = 4096  # characters of an answer that are kept
MAX_CODE = 2**31 - 1  # that a column holds
MAX_RETRY_AFTER_SECONDS = 3600.0  # above what Meta asks for


@dataclass(frozen=True, slots=True)
class Accepted:
    """Meta took the message: its id (wamid)."""

    message_id: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """Surely not sent: why, by which code, and what is to be done."""

    remedy: Remedy
    error: str
    code: int | None = None
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may have been sent: why that cannot be told."""

    error: str


Answer = Accepted | NotSent | Unknown


def read(status: int, body: bytes, retry_after: str | None = None) -> Answer:
    """Judge an HTTP answer to POST /messages by what is in it; the status counts only where there is no JSON."""
    content = _json(body)
    error = content.get("error") if content else None
    if isinstance(error, dict) and isinstance(error.get("code"), int) and 0 <= error["code"] <= MAX_CODE:
        return _refused(error, retry_after)
    if 200 <= status < 300:
        message_id = _message_id(content)
        return (
            Accepted(message_id)
            if message_id
            else Unknown(f"HTTP {status} with an answer that names no message")
        )
    if status == 429:
        return NotSent(Remedy.THROTTLE, "HTTP 429", None, _seconds(retry_after))
    if 400 <= status < 500:
        return NotSent(Remedy.DEAD, f"HTTP {status} without an error of Meta's", None)
    return Unknown(f"HTTP {status} without an error of Meta's")


def _refused(error: dict[str, Any], retry_after: str | None) -> NotSent:
    code = int(error["code"])
    details = error.get("error_data")
    more = details.get("details") if isinstance(details, dict) else None
    words = " ".join(str(part) for part in (error.get("message"), more) if part)
    remedy = remedy_for(code, transient=error.get("is_transient") is True)
    return NotSent(remedy, _storable(f"({code}) {words}"), code, _seconds(retry_after))


def _storable(text: str) -> str:
    """Replace what Postgres text cannot hold: NUL and lone surrogates."""
    return text[:MAX_SHOWN].replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _message_id(content: dict[str, Any] | None) -> str | None:
    messages = content.get("messages") if content else None
    first = messages[0] if isinstance(messages, list) and messages else None
    found = first.get("id") if isinstance(first, dict) else None
    return _storable(found) if isinstance(found, str) and found else None


def _seconds(text: str | None) -> float | None:
    try:
        seconds = float(text) if text else math.nan
    except ValueError:  # a date: our own backoff will do
        return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), MAX_RETRY_AFTER_SECONDS)
