"""The key of an item: which event it is. Pure: no I/O.

A key is a prefix, the item's own ids, and the digest of its content where the ids are not enough. All keys
of one message begin alike, so a range of keys finds them::

    message:<wamid>                                    a message that somebody sent to us
    status:<wamid>:<status>:<participant>              of an ordinary message
    status:<id>:<status>:<participant>:<type>:~<digest>   of a payment, a call, or whatever type comes next
    call:<id>:<event>:~<digest>
    standby.message:<wamid>, smb_message_echoes.echo:<wamid>, ...   the same kinds on another field
    automatic_events:<wamid>:<event name>:~<digest>
    account_update:~<digest>                           nothing in it has an id

``%``, ``:`` and ``~`` inside an id are escaped, so no id can look like another key. A digest covers the
content only: two bodies that differ in key order, white space or escaping have the same digests.
"""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

TEXT_LIMIT = 500  # characters of a type, key or name
PART_LIMIT = 200  # characters of one id inside a key
HEAD_LENGTH = 40  # characters kept of a text that cannot be stored whole, so that people can tell it
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres text holds neither NUL nor half a surrogate pair
SPECIAL = re.compile("[%:~\x00\ud800-\udfff]")
ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "~": "%7E"})
DIGEST = re.compile("[0-9a-f]{64}")
ESCAPED = re.compile("%(25|3A|7E)")
PLAIN_MESSAGE_TYPES = (None, "message")  # types of a status that is about an ordinary message
STATUSES = frozenset(
    ("sent", "failed", "delivered", "read", "played")
)  # what an ordinary message goes through

Item = dict[str, Any]
Content = Callable[[], str]

# Compact, ASCII, sorted: one content, one text. JSON has no cycles, so none are looked for.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


class Ids(NamedTuple):
    """What an item's key holds after its prefix; ``complete``: no two items of one kind share these ids."""

    parts: tuple[str, ...]
    complete: bool = False


def id_text(value: Any) -> str:
    """Return an id as text, or "" for a value that is none. Meta writes some ids as numbers."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else ""


def digest(*texts: str) -> str:
    """Return the SHA-256 in hex of texts that hold no line break."""
    return sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def storable(value: str, limit: int = TEXT_LIMIT) -> str:
    """Return the text, or its head and digest if Postgres cannot hold it or it is longer than ``limit``."""
    if len(value) <= limit and not UNSTORABLE.search(value):
        return value
    return f"{UNSTORABLE.sub('', value[:HEAD_LENGTH])}~{digest(value)}"


def escape_part(value: str) -> str:
    """Return an id as it stands in a key."""
    if len(value) <= PART_LIMIT and not SPECIAL.search(value):
        return value
    return storable(value.translate(ESCAPES), PART_LIMIT)


def build_key(parts: tuple[str, ...], content: str = "") -> str:
    """Return the key of these parts and, if given, the digest of the content."""
    escaped = [escape_part(part) for part in parts]
    if content:
        escaped.append(f"~{content}")
    key = ":".join(escaped)
    if len(key) <= TEXT_LIMIT:
        return key
    return f"{escaped[0]}:{escaped[1]}:~{digest(key)}"


def ids_of(key: str) -> str | None:
    """Return the ids in the key of a status or call whose content is in it too; None for another key.

    They are escaped, with their prefix, as they stand in the key.
    """
    ids, _, content = key.rpartition(":~")
    prefix, _, first_id = ids.partition(":")
    known = prefix.rpartition(".")[2] in ("status", "call") and first_id.partition(":")[0]
    return ids if known and DIGEST.fullmatch(content) else None


def message_key_ranges(message_id: str) -> list[str]:
    """Return the beginnings of every key about a message or call: compare with ``starts_with``."""
    own_fields = [build_key((prefix, message_id)) for prefix in ("message", "status", "call")]
    scopes = ("standby.message", "standby.echo", "standby.status", "history.message", "automatic_events")
    echoes = ("smb_message_echoes.echo", "message_echoes.echo")
    return [*own_fields, *(build_key((scope, message_id)) for scope in scopes + echoes)]


def message_id_of(key: str) -> str:
    """Return the id of the message that a key is about; one of more than PART_LIMIT characters is cut in it."""
    _, _, ids = key.partition(":")
    return ESCAPED.sub(lambda code: chr(int(code[1], 16)), ids.partition(":")[0])


def message_ids(item: Item) -> Ids:
    """A message or echo has an id of its own."""
    id_ = _id(item)
    return Ids((id_,), complete=True) if id_ else Ids(())


def status_ids(status: Item) -> Ids:
    """A status of an ordinary message is known by the message, the state and, in a group, the participant.

    Others have no such rule: a refund is one more "captured" of the same payment. Their content tells them apart.
    """
    id_, state, member, type_ = (
        _id(status),
        _id(status, "status"),
        group_participant(status),
        status.get("type"),
    )
    if not id_ or not state or (member and not id_text(member)) or not isinstance(type_, str | None):
        return Ids((id_,))
    parts = (id_, state, id_text(member))
    if type_ in PLAIN_MESSAGE_TYPES:
        return Ids(parts, complete=state in STATUSES)
    return Ids((*parts, type_))


def call_ids(call: Item) -> Ids:
    """A call has an id, and each event of it a name; two events of one name may differ in their content."""
    id_, event = _id(call) or _id(call, "wacid"), _id(call, "event")
    return Ids((id_, event)) if event else Ids((id_,))


def history_ids(chunk: Item) -> Ids:
    """A part of a history is numbered."""
    metadata = chunk.get("metadata")
    numbers = metadata if isinstance(metadata, dict) else {}
    return Ids(tuple(id_text(numbers.get(name)) for name in ("phase", "chunk_order")))


def click_ids(action: Item) -> Ids:
    """A click on a marketing message has an id."""
    click = action.get("marketing_messages_link_click_data")
    return Ids((_id(click if isinstance(click, dict) else action, "click_id"),))


def members_as_ids(*names: str) -> Callable[[Item], Ids]:
    """Return a function that gives those of the named members that an item has."""

    def ids(item: Item) -> Ids:
        return Ids(tuple(text for text in (id_text(item.get(name)) for name in names) if text))

    return ids


def group_participant(status: Item) -> Any:
    """Return who in a group a status is about, "" outside groups. Meta prints the names both ways round."""
    return (
        status.get("recipient_participant_user_id")
        or status.get("participant_recipient_user_id")
        or status.get("recipient_participant_id")
        or status.get("participant_recipient_id")
        or ""
    )


def _id(item: Item, name: str = "id") -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""
