"""Rows as JSON objects: personal data masked, unless it was asked for. Nothing here is HTML."""

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

from app.lanes import Pause
from app.views import (
    BOT,
    QUOTING_DETAILS,
    DialogView,
    FoundConversation,
    Held,
    LaneEvent,
    Row,
    Said,
    Send,
    Timeline,
    masked_conversation,
    masked_payload,
    masked_text,
    said,
    said_in,
)
from app.watch import TargetHealth
from config.masking import hiding, mask_name


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
    line["said"] = _said(said_in(found.key, payload), reveal)
    return line if reveal else line | _masked(line, payload)


def send(found: Send, reveal: bool) -> dict[str, Any]:
    """A reply on a conversation's page: what it says and how far it got."""
    return {
        "id": found.id,
        "event_id": found.event_id,
        "handler": found.handler,
        "step": found.step,
        "at": found.accepted_at or found.created_at,
        "stands_at": found.stands_at,
        "attempts": found.attempts,
        "error": found.error if reveal else masked_text(found.error),
        "said": _said(said(BOT, json.loads(found.body)), reveal),
    }


def conversation(found: FoundConversation, reveal: bool) -> dict[str, Any]:
    """A line of the list of conversations."""
    return asdict(found) | ({} if reveal else {"key": masked_conversation(found.key)})


def _said(found: Said | None, reveal: bool) -> dict[str, Any] | None:
    """A message in words; without ``reveal`` only its type and that it has words."""
    if found is None:
        return None
    shown = asdict(found)
    return shown if reveal else shown | {"words": mask_name(found.words), "choices": []}


def held(found: Held, reveal: bool) -> dict[str, Any]:
    line = asdict(found)
    payload = line.pop("payload")
    return line if reveal else line | _masked(line, payload)


def target(name: str, found: TargetHealth) -> dict[str, Any]:
    """How a target goes."""
    return {"name": name, **asdict(found)}


def pause(found: Pause, reveal: bool) -> dict[str, Any]:
    if reveal:
        return asdict(found)
    return asdict(found) | {
        "key": masked_conversation(found.key),
        "paused_why": masked_text(found.paused_why),  # a handler may quote the user
    }


def dialog(found: DialogView, reveal: bool) -> dict[str, Any]:
    """What a lane expects, and what its handlers keep."""
    line = asdict(found)
    if reveal or found.state is None:
        return line
    return line | {"state": json.dumps(masked_payload(json.loads(found.state)))}


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
                name: masked_text(value) if name in QUOTING_DETAILS else value
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
