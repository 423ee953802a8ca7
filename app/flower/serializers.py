"""Rows as JSON objects: personal data masked, unless it was asked for. Nothing here is HTML."""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from app.lanes import Pause
from app.views import Held, LaneEvent, Row, Timeline, masked_conversation, masked_payload, masked_text
from config.masking import hiding


def row(found: Row, reveal: bool) -> dict[str, Any]:
    """A line of the table of dead letters."""
    line = asdict(found)
    payload = line.pop("payload")
    del line["sorted_by"]
    return line if reveal else line | _masked(line, payload)


def lane_event(found: LaneEvent, reveal: bool) -> dict[str, Any]:
    """A line of a conversation's page; its text only where it was asked for."""
    line = asdict(found)
    payload = line.pop("payload")
    return line if reveal else line | _masked(line, payload)


def held(found: Held, reveal: bool) -> dict[str, Any]:
    line = asdict(found)
    payload = line.pop("payload")
    return line if reveal else line | _masked(line, payload)


def pause(found: Pause, reveal: bool) -> dict[str, Any]:
    return asdict(found) | ({} if reveal else {"key": masked_conversation(found.key)})


def event_timeline(found: Timeline, payload: str, reveal: bool) -> dict[str, Any]:
    """An event with its payload and all that happened to it."""
    shown = found.as_dict()
    content = json.loads(payload)
    if reveal:
        return shown | {"payload": _as_text(content)}
    shown |= _masked(shown, payload)
    with _hiding(payload):
        for moment in shown["moments"]:
            moment["detail"] = {
                name: masked_text(value) if name in ("error", "traceback", "answer") else value
                for name, value in moment["detail"].items()
                if name != "payload"  # of a changed duplicate: its texts are another's than the event's
            }
    return shown | {"payload": _as_text(masked_payload(content))}


def edits(found: list[dict[str, Any]], reveal: bool) -> list[dict[str, Any]]:
    """Who edited an event's payload, when, and what it was before."""
    payloads = [json.loads(edit["payload"]) for edit in found]
    shown = [payload if reveal else masked_payload(payload) for payload in payloads]
    return [edit | {"payload": _as_text(payload)} for edit, payload in zip(found, shown, strict=True)]


def _as_text(payload: Any) -> str:
    """Written here and not by the browser, whose numbers are too small for some ids."""
    return json.dumps(payload, indent=2, ensure_ascii=False)


def _masked(line: dict[str, Any], payload: str | None) -> dict[str, Any]:
    """The members of a line that may name a person, masked."""
    masked = {}
    if "key" in line:
        masked["key"] = masked_text(line["key"])
    if "conversation" in line:
        masked["conversation"] = masked_conversation(line["conversation"])
    with _hiding(payload):
        masked["error"] = masked_text(line["error"])
    if payload is None and line["error"]:  # too long to be looked through, so only the error's class is safe
        masked["error"] = line["error"].partition(":")[0]
    return masked


def _hiding(payload: str | None) -> AbstractContextManager[None]:
    return hiding(payload) if payload is not None else nullcontext()
