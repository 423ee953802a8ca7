"""Takes people out of what is logged: phone numbers, names, message texts, wamids. Pure: no I/O.

Three nets, since no single one holds:

1. by field: a field of ours passes untouched, a field that names a person is masked whole;
2. by shape: in any other text wamids, user ids and digits that may be a phone number are masked, and in error
   texts whatever stands in quotes, since that is where Python puts the value that was wrong;
3. by value: inside ``hiding(payload)`` every text of that payload is masked wherever it appears.

It cannot know a text that reaches a log line outside ``hiding``, unquoted and in a field it does not know.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from enum import Enum
from functools import cached_property
from hashlib import blake2b
from typing import Any
from uuid import UUID

MASK = "…"
HASH_BYTES = 4
LAST_DIGITS = 2
MIN_PHONE_DIGITS = 7  # the shortest number that is taken for a phone number
MAX_HIDDEN_VALUES = 200  # values of a payload beyond this many are not looked for

# Our own fields: numbers, constants and ids that name no person.
OPEN_FIELDS = frozenset(
    """
    accepted alert attempt attempts bytes code count dead delivery_id delivery_ids due_at
    duplicates event_id event_ids events exit_code field handler handlers held hostname ingested
    kind lane lanes late limit max_attempts path pid pool port position process queue queues
    reason_code release retry_in seconds signal size state status task task_id threshold total type
    fault value version waiting worker workers
    """.split()  # noqa: SIM905  (words read better than a column of quotes)
)
OPEN_SUFFIXES = ("_at", "_bytes", "_count", "_ms", "_seconds")

KEEP = r"""
    [0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}            # a UUID
  | (?<![\w])(?:[0-9a-f]{64}|[0-9a-f]{40}|[0-9a-f]{32})(?![\w])     # a hash
  | (?<!\d)\d{4}-\d\d-\d\d(?:[T\ ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)?)?(?!\d)  # a time
  | (?<![\w.])\d{1,6}\.\d{1,20}m?s\b                                # a duration
  | (?<![\w.])0\.\d{1,20}(?![\w.])                                  # a fraction
  | \b0x[0-9a-fA-F]{6,16}\b                                         # an address in memory
  | (?:wamid\.|[A-Z]{2}\.)?…[0-9a-f]{8}(?![0-9a-fA-F])              # masked before
"""
SHAPES = re.compile(
    rf"""(?P<keep>{KEEP})
  | (?P<id>wamid\.[\w+/=-]+ | [A-Z]{{2}}\.(?:ENT\.)?(?=[A-Za-z]*\d)[A-Za-z0-9]{{4,128}})
  | (?P<phone>\+?(?<!\d)\d(?:[\ ()-]{{0,2}}\d){{{MIN_PHONE_DIGITS - 1},}})""",
    re.VERBOSE,
)
QUOTED = re.compile(
    r"""(?<![^\W_])(?:(?<!File\ )"(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*')
  | (?<=\bb)(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')""",
    re.VERBOSE,
)
DATABASE_VALUES = re.compile(
    r"(?P<head>\[parameters: |=\()(?P<values>.*?)(?P<tail>\]$|\)(?= )|\n|$)", re.MULTILINE
)
KEY_WORD = re.compile(r"[a-z_]{0,20}|~?[0-9a-f]{64}")
# Their texts quote code, not values.
CODE_ERRORS = (AttributeError, ImportError, NameError, TypeError, SyntaxError)
# Keys of a payload whose values are words of the protocol.
PROTOCOL_KEYS = frozenset(
    """
    category field messaging_product mime_type object phone_number_id recipient_type status timestamp type
    """.split()  # noqa: SIM905  (words read better than a column of quotes)
)


def mask_id(value: str) -> str:
    """A wamid or user id → its prefix, ``…`` and 8 hex digits, equal for equal ids."""
    if not value:
        return value
    prefix = value[: value.index(".") + 1] if value.startswith("wamid.") or value[2:3] == "." else ""
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()
    return f"{prefix}{MASK}{digest}"


def mask_phone(value: str) -> str:
    """A phone number → ``…`` and its last two digits; what holds fewer digits than a number → ``…``."""
    digits = [character for character in value if character.isdigit()]
    return MASK + "".join(digits[-LAST_DIGITS:]) if len(digits) >= MIN_PHONE_DIGITS else MASK


def mask_key(value: str) -> str:
    """An event's key: its noun and the words in it stay, each id in it is masked as ``mask_id`` does."""
    noun, *parts = value.split(":")
    return ":".join((noun, *(part if KEY_WORD.fullmatch(part) else mask_id(part) for part in parts)))


def mask_name(value: str) -> str:
    """A person's name, or the text of a message → ``…``."""
    return MASK if value else value


def mask_text(value: str) -> str:
    """Free text with the wamids, user ids and phone numbers in it masked, and what ``hiding`` knows of."""
    hidden = _hidden.get()
    return SHAPES.sub(_mask_shape, hidden.mask(value) if hidden else value)


def mask_error(value: str, error: BaseException | None = None) -> str:
    """The text of an error: as ``mask_text``, and what it quotes is masked too (unless it quotes code)."""
    if not isinstance(error, CODE_ERRORS):
        value = DATABASE_VALUES.sub(rf"\g<head>{MASK}\g<tail>", value)
        value = QUOTED.sub(lambda quoted: f"{quoted[0][0]}{MASK}{quoted[0][-1]}", value)
    return mask_text(value)


def _mask_shape(match: re.Match[str]) -> str:
    text = match[0]
    if match.lastgroup == "keep":
        return text
    return mask_id(text) if match.lastgroup == "id" else mask_phone(text)


class _Hidden:
    """The texts of one payload, looked for only once something is to be masked."""

    def __init__(self, payload: str) -> None:
        self._payload = payload

    def mask(self, value: str) -> str:
        return self._pattern.sub(MASK, value) if self._pattern else value

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        try:
            texts = {text for leaf in _leaves(json.loads(self._payload)) for text in _spellings(leaf)}
        except (ValueError, RecursionError):
            return None
        longest_first = sorted(texts, key=len, reverse=True)[:MAX_HIDDEN_VALUES]
        return re.compile("|".join(map(_bounded, longest_first)), re.IGNORECASE) if longest_first else None


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in PROTOCOL_KEYS:
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)


def _spellings(text: str) -> Iterator[str]:
    """A text as it is, and as ``repr`` and JSON write it."""
    text = text.strip()
    if len(text) > 1 or not text.isascii():
        yield from filter(None, (text, repr(text)[1:-1], json.dumps(text)[1:-1]))


def _bounded(text: str) -> str:
    """A short text only where it is a word of its own: "ok" is in "token" too."""
    return re.escape(text) if len(text) >= 4 or not text.isascii() else rf"(?<!\w){re.escape(text)}(?!\w)"


_hidden: ContextVar[_Hidden | None] = ContextVar("hidden", default=None)


@contextmanager
def hiding(payload: str) -> Iterator[None]:
    """While it lasts, every text in ``payload`` (JSON) is masked in all that is logged or reported."""
    token = _hidden.set(_Hidden(payload))
    try:
        yield
    finally:
        _hidden.reset(token)


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
    return FIELDS.get(name, mask_error)(str(value))


def describe(error: BaseException) -> str:
    """An exception as "Class: text", masked."""
    text = mask_error(str(error), error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


FIELDS: Mapping[str, Callable[[str], str]] = {
    "key": mask_key,
    **dict.fromkeys(("conversation", "wamid", "message_id", "user_id", "from_user_id", "group_id"), mask_id),
    **dict.fromkeys(("phone", "from", "to", "wa_id", "recipient", "recipient_id", "participant"), mask_phone),
    **dict.fromkeys(
        ("name", "profile_name", "username", "first_name", "last_name", "formatted_name"), mask_name
    ),
    **dict.fromkeys(("text", "body", "caption", "payload", "item", "raw", "title", "description"), mask_name),
    **dict.fromkeys(("error", "exception", "reason"), mask_error),
}
