"""Which event an item is: its key. Pure: no I/O.

A key is a noun, the item's own ids, and the hash of its content where the ids are not enough. Everything
of one message starts the same, so a range of keys finds it::

    message:<wamid>                                    a message that somebody sent to us
    status:<wamid>:<status>:<participant>[:<type>]     type where it is no ordinary message's status
    call:<id>:<event>
    standby.message:<wamid>, smb_message_echoes.echo:<wamid>, ...   the same kinds on another field
    automatic_events:<wamid>:<event name>:~<hash>
    account_update:~<hash>                             nothing in it has an id

``%``, ``:`` and ``~`` inside an id are escaped, so no id can look like another key. A hash covers the
content only: two bodies that differ in key order, white space or escaping hash alike.
"""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from typing import Any

TEXT_LIMIT = 500  # characters of a type, key or name
PART_LIMIT = 200  # characters of one id inside a key
HEAD_LENGTH = 40  # characters kept of a text that is too long or odd, so that people can tell it
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # Postgres text holds neither NUL nor half a surrogate pair
SPECIAL = re.compile("[%:~\x00\ud800-\udfff]")
ESCAPES = str.maketrans({"%": "%25", ":": "%3A", "~": "%7E"})
ESCAPED = re.compile("%(25|3A|7E)")
ORDINARY = (None, "message")  # types of a status that is of an ordinary message

Item = dict[str, Any]
Content = Callable[[], str]

# Compact, ASCII, sorted: one content, one text. JSON has no cycles, so none are looked for.
canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False).encode


def text(value: Any) -> str:
    """An id as text; "" for what is none. Numbers count: Meta writes some ids both ways."""
    if type(value) is str:
        return value
    return str(value) if type(value) is int else ""


def digest(*texts: str) -> str:
    """SHA-256 in hex over texts that hold no line break."""
    return sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()


def storable(value: str, limit: int = TEXT_LIMIT) -> str:
    """The text itself, or its head and hash where Postgres cannot hold it or it is longer than ``limit``."""
    if len(value) <= limit and not UNSTORABLE.search(value):
        return value
    return f"{UNSTORABLE.sub('', value[:HEAD_LENGTH])}~{digest(value)}"


def part(value: str) -> str:
    """An id as it stands in a key."""
    if len(value) <= PART_LIMIT and not SPECIAL.search(value):
        return value
    return storable(value.translate(ESCAPES), PART_LIMIT)


def join(parts: tuple[str, ...], content: str = "") -> str:
    """One key from its parts and, where given, the hash of the content."""
    escaped = [part(each) for each in parts]
    if content:
        escaped.append(f"~{content}")
    key = ":".join(escaped)
    if len(key) <= TEXT_LIMIT:
        return key
    return f"{escaped[0]}:{escaped[1]}:~{digest(key)}"


def message_key_ranges(message_id: str) -> list[str]:
    """The beginnings of every key that tells of a message (or call): compare with ``starts_with``."""
    home = [join((noun, message_id)) for noun in ("message", "status", "call")]
    scopes = ("standby.message", "standby.echo", "standby.status", "history.message", "automatic_events")
    echoes = ("smb_message_echoes.echo", "message_echoes.echo")
    return [*home, *(join((scope, message_id)) for scope in scopes + echoes)]


def message_id_of(key: str) -> str:
    """The id of the message that a key tells of; one of more than PART_LIMIT characters is not whole in it."""
    _, _, rest = key.partition(":")
    return ESCAPED.sub(lambda code: chr(int(code[1], 16)), rest.partition(":")[0])


def event_key(field: str, source: str, item: Any, content: Content) -> str:
    """The key of one item of the list ``source`` ("" for a whole change) on a field.

    ``content`` gives the hash of the item with its entry, field and phone number.
    """
    if not isinstance(item, dict):
        return join((field, source) if source == "errors" else (field,), content())
    if source == "messages":
        return _by_id(_noun(field, "message", ("messages",)), item, content)
    if source == "message_echoes":
        return _by_id(_noun(field, "echo", ()), item, content)
    if source == "statuses":
        return _status_key(_noun(field, "status", ("messages", "calls")), item, content)
    if source == "calls":
        return _call_key(_noun(field, "call", ("calls",)), item, content)
    return join((field, *_ids(source, item)), content())


def participant(status: Item) -> Any:
    """Who in a group a status is about, "" outside groups. Meta prints the names both ways round."""
    return (
        status.get("recipient_participant_user_id")
        or status.get("participant_recipient_user_id")
        or status.get("recipient_participant_id")
        or status.get("participant_recipient_id")
        or ""
    )


def _noun(field: str, noun: str, home: tuple[str, ...]) -> str:
    """Outside its own field an item is another event, even with the same id."""
    return noun if field in home else f"{field}.{noun}"


def _id(item: Item, name: str = "id") -> str:
    found = item.get(name)
    return found if isinstance(found, str) else ""


def _by_id(noun: str, item: Item, content: Content) -> str:
    found = _id(item)
    return join((noun, found)) if found else join((noun,), content())


def _status_key(noun: str, item: Item, content: Content) -> str:
    found, status, who, kind = _id(item), _id(item, "status"), participant(item), item.get("type")
    if not found or not status or (who and not text(who)) or not isinstance(kind, str | None):
        return join((noun, found), content())
    ids = (noun, found, status, text(who))
    if kind in ORDINARY:
        return join(ids)
    return join((*ids, kind, *_transaction(item)))


def _transaction(status: Item) -> tuple[str, ...]:
    """A payment is tried more than once under one id and status."""
    payment = status.get("payment")
    transaction = payment.get("transaction") if isinstance(payment, dict) else None
    if not isinstance(transaction, dict):
        return ()
    return (text(transaction.get("id")), text(transaction.get("status")))


def _call_key(noun: str, item: Item, content: Content) -> str:
    found, event = _id(item) or _id(item, "wacid"), _id(item, "event")
    return join((noun, found, event)) if found and event else join((noun, found), content())


def _ids(source: str, item: Item) -> tuple[str, ...]:
    """What a person would look for in the key of an item that its ids alone do not identify."""
    if source == "history":
        metadata = item.get("metadata")
        chunk = metadata if isinstance(metadata, dict) else {}
        return tuple(text(chunk.get(name)) for name in ("phase", "chunk_order"))
    if source == "user_actions":
        click = item.get("marketing_messages_link_click_data")
        return (_id(click if isinstance(click, dict) else item, "click_id"),)
    names = NAMING.get(source, ())
    return tuple(found for found in (text(item.get(name)) for name in names) if found)


NAMING = {
    "automatic_events": ("id", "event_name"),
    "groups": ("group_id", "type", "request_id", "join_request_id"),
    "user_preferences": ("user_id", "wa_id", "category", "value"),
}
