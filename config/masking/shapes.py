"""Mask what is known by its shape: wamids, user ids, phone numbers, paths of URLs. Pure: no I/O."""

import re
from hashlib import blake2b

from config.masking.hidden import MASK, mask_hidden

HASH_BYTES = 4
LAST_DIGITS = 2
MIN_PHONE_DIGITS = 7  # the shortest number that is taken for a phone number
MAX_TEXT = 32 * 1024  # characters that are looked at; the rest is cut
CUT_TAIL = 64  # characters dropped before a cut, which may stand in the middle of a number

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
URL = re.compile(
    r"""(?P<scheme>\b[a-z][a-z0-9+.-]{1,20}://)(?:[^\s'"<>/?\#@]{0,512}@)?
    (?P<host>\[[0-9a-f:.]{2,45}\]|[\w.-]{1,253})?(?P<port>:\d{1,5})?(?P<rest>[^\s'"<>]*)""",
    re.VERBOSE | re.IGNORECASE,
)
URL_PATH = re.compile(r"(?P<head>\bwith url: )(?P<path>/[^\s'\"]*)")  # as urllib3 says it
KEY_WORD = re.compile(r"[a-z_]{0,20}|~?[0-9a-f]{64}")
NUMBER = re.compile(r"\+?[0-9 ()-]+")


def mask_id(value: str) -> str:
    """Return a wamid's or user id's prefix, ``…`` and 8 hex digits, which are equal for equal ids."""
    if not value:
        return value
    prefix = value[: value.index(".") + 1] if value.startswith("wamid.") or value[2:3] == "." else ""
    digest = blake2b(value.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).hexdigest()
    return f"{prefix}{MASK}{digest}"


def mask_phone(value: str) -> str:
    """Return ``…`` and a phone number's last two digits; ``…`` for what has too few digits to be one."""
    digits = [character for character in value if character.isdigit()]
    return MASK + "".join(digits[-LAST_DIGITS:]) if len(digits) >= MIN_PHONE_DIGITS else MASK


def mask_participant(value: str) -> str:
    """Mask a phone number as one, a user's or group's id as an id; a number's digest could be tried out."""
    return mask_phone(value) if NUMBER.fullmatch(value) else mask_id(value)


def mask_conversation(value: str) -> str:
    """Mask the user or group of ``<phone_number_id>/<name>``; the business's own number stays."""
    account, slash, name = value.rpartition("/")
    return f"{account}{slash}{mask_participant(name)}"


def mask_key(value: str) -> str:
    """Mask each id in an event's key; its kind and the words in it stay."""
    kind, *parts = value.split(":")
    return ":".join((kind, *(part if KEY_WORD.fullmatch(part) else mask_participant(part) for part in parts)))


def mask_name(value: str) -> str:
    """Return ``…`` for a person's name or a message's text."""
    return MASK if value else value


def mask_text(value: str) -> str:
    """Mask wamids, user ids, phone numbers and paths of URLs in free text, and what ``hiding`` names; cut it before."""
    masked = mask_hidden(value[:MAX_TEXT])
    masked = URL_PATH.sub(rf"\g<head>/{MASK}", URL.sub(_mask_url, masked))
    masked = SHAPES.sub(_mask_shape, masked)
    return masked if len(value) <= MAX_TEXT else f"{masked[:-CUT_TAIL]}{MASK}"


def _mask_url(match: re.Match[str]) -> str:
    rest = f"/{MASK}" if match["rest"].strip("/") else match["rest"]
    return f"{match['scheme']}{match['host'] or ''}{match['port'] or ''}{rest}"


def _mask_shape(match: re.Match[str]) -> str:
    text = match[0]
    if match.lastgroup == "keep":
        return text
    return mask_id(text) if match.lastgroup == "id" else mask_phone(text)
