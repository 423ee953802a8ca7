"""Mask what belongs to a person, for screens and the command line. Pure: no I/O."""

from config.masking import PROTOCOL_KEYS, mask_conversation, mask_error, mask_id, mask_name

# Of a moment of a timeline, and of an attempt: what may quote somebody
QUOTING_DETAILS = ("error", "traceback", "answer", "why", "reason")


def masked_id(value: str, reveal: bool = False) -> str:
    """A message's id; numbers of our own and UUIDs are no secret."""
    return value if reveal or not value.startswith("wamid.") else mask_id(value)


def masked_conversation(key: str | None) -> str | None:
    """``<phone_number_id>/<name>``: the business's own number stays, the user's name is masked."""
    if key is None:
        return None
    return mask_conversation(key)


def masked_text(value: str | None) -> str | None:
    """An error, key or traceback: without phone numbers, message ids and quoted values."""
    return mask_error(value) if value else value


def masked_payload(value: object) -> object:
    """A payload with its shape kept and every text in it that may be a person's masked."""
    if isinstance(value, dict):
        return {
            name: inner if name in PROTOCOL_KEYS else masked_payload(inner) for name, inner in value.items()
        }
    if isinstance(value, list):
        return [masked_payload(inner) for inner in value]
    return mask_name(value) if isinstance(value, str) else value
