"""Take people out of what is logged and shown: phone numbers, names, message texts, wamids. Pure: no I/O.

Promises: masks in four ways: by field (``fields``), by shape (``shapes``), in errors by quotes (``errors``), and
inside ``hiding(payload)`` every text of that payload (``hidden``). Long texts are cut first; the time depends on the
length alone.
Relies on: errors that put a value in quotes, as Python, Postgres and Redis do.
Cannot see: a text outside ``hiding``, unquoted, in a field it does not know.
"""

from config.masking.errors import describe, mask_error
from config.masking.fields import OPEN_FIELDS, mask_field, mask_fields
from config.masking.hidden import PROTOCOL_KEYS, hiding
from config.masking.shapes import (
    MAX_TEXT,
    mask_conversation,
    mask_id,
    mask_key,
    mask_name,
    mask_phone,
    mask_text,
)

__all__ = [
    "MAX_TEXT", "OPEN_FIELDS", "PROTOCOL_KEYS", "describe", "hiding", "mask_conversation", "mask_error", "mask_field",
    "mask_fields", "mask_id", "mask_key", "mask_name", "mask_phone", "mask_text",
]  # fmt: skip
