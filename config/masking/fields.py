"""Mask the fields of a log line by name or, where a name says nothing, by shape. Pure: no I/O."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any
from uuid import UUID

from config.masking.errors import describe, mask_error
from config.masking.shapes import (
    MAX_TEXT,
    MIN_PHONE_DIGITS,
    mask_conversation,
    mask_id,
    mask_key,
    mask_name,
    mask_participant,
    mask_phone,
    mask_text,
)

# Our own fields: numbers, constants and ids that name no person.
OPEN_FIELDS = frozenset(
    """
    accepted alert attempt attempts bytes code count dead delivery_id delivery_ids due_at
    duplicates event_id event_ids events exit_code field handler handlers held hostname ingested
    job_id job_ids kind lane lane_name lanes late limit max_attempts path pid pool port position process queue queues
    reason_code release retry_in seconds signal size state status task task_id threshold total type
    fault value version waiting worker workers
    """.split()  # noqa: SIM905  (words read better than a column of quotes)
)
OPEN_SUFFIXES = ("_at", "_bytes", "_count", "_ms", "_seconds")


def mask_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a log line, each masked by its name or, where that says nothing, by its shape."""
    return {name: value if name in OPEN_FIELDS else mask_field(name, value) for name, value in fields.items()}


def mask_field(name: str, value: Any) -> Any:
    """One field's value, fit to be logged; whatever it is becomes something JSON can hold."""
    if value is None or value is True or value is False or name.endswith(OPEN_SUFFIXES):
        return value
    if isinstance(value, BaseException):
        return describe(value)
    if isinstance(value, str):
        return FIELDS.get(name, mask_text)(value)
    if isinstance(value, Mapping):
        return {mask_text(str(key)): mask_field(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [mask_field(name, inner) for inner in value]
    if isinstance(value, (float, datetime, date, timedelta, UUID, Enum)):
        return str(value) if isinstance(value, timedelta) else value
    if isinstance(value, int):
        return value if abs(value) < 10 ** (MIN_PHONE_DIGITS - 1) else mask_phone(str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{len(value)} bytes"
    return FIELDS.get(name, mask_error)(str(value)[: MAX_TEXT + 1])


FIELDS: Mapping[str, Callable[[str], str]] = {
    "key": mask_key,
    "conversation": mask_conversation,
    **dict.fromkeys(("wamid", "message_id", "user_id", "from_user_id", "group_id"), mask_id),
    **dict.fromkeys(
        ("phone", "from", "to", "wa_id", "recipient", "recipient_id", "participant"), mask_participant
    ),
    **dict.fromkeys(
        ("name", "profile_name", "username", "first_name", "last_name", "formatted_name"), mask_name
    ),
    **dict.fromkeys(("text", "body", "caption", "payload", "item", "raw", "title", "description"), mask_name),
    **dict.fromkeys(("error", "exception", "reason"), mask_error),
}
