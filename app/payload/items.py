"""What is in a webhook body: entries × changes × items. Pure: no I/O.

Nothing is left out for being unknown. A list whose items have an identity gives an item each; a change
with no such list is one item itself, and so is an entry or change of a shape that Meta does not document.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

from app.payload.identity import Item, canonical, digest, escape_part, id_text, storable
from app.payload.kinds import ERRORS, ITEM_KINDS
from app.payload.participants import Contact, Contacts, account_of, own_phone_of

WHATSAPP = "whatsapp_business_account"
CONTEXT_LIMIT = 16 * 1024  # characters of context stored with one item
# Here value.errors is a list of faults; on other fields it is a member like any other
MESSAGING_FIELDS = ("messages", "calls", "smb_message_echoes", "message_echoes", "standby", "history")
STANDBY = "standby"  # field and object of the same name: its lists are one level deeper
ENVELOPE = frozenset(("messaging_product", "metadata", "contacts", STANDBY))


class UnreadableBody(Exception):
    """The body holds no entry and no change; the text says why."""


class BodyItem(NamedTuple):
    """Something to make an event of. ``list_name``: its list, "errors" for that whole list, "" for the change."""

    change: "Change"
    list_name: str
    raw: Any


class Change:
    """One change, and what its items share."""

    def __init__(
        self, kind: str, field: str | None, value: Any, entry: str, scope: Callable[[], str]
    ) -> None:
        self.kind = kind  # the type of an event that has none of its own: the field, "entry" or "change"
        self.field = field
        self.field_json = canonical(None if field is None else kind)
        self.key_prefix = escape_part(field or kind)  # escaped once, however long a field is
        self.value = value
        self.entry = entry  # the entry's id as JSON
        self.scope = scope  # digest of what tells one part of a body from another: object, entry, field
        inner = value.get(STANDBY) if isinstance(value, dict) and field == STANDBY else None
        whole = (value,) if isinstance(value, dict) else ()
        self.levels: tuple[Item, ...] = (*whole, inner) if isinstance(inner, dict) else whole
        self.length = 0  # how many items its lists have
        metadata = next((level["metadata"] for level in self.levels if "metadata" in level), None)
        self.account = account_of(metadata)
        self.own_phone = own_phone_of(metadata)
        self._contexts: dict[int, str | None] = {}

    @cached_property
    def contacts(self) -> Contacts:
        lists = [level["contacts"] for level in self.levels if isinstance(level.get("contacts"), list)]
        return Contacts([contact for contacts in lists for contact in contacts])

    @cached_property
    def _members(self) -> str:
        """The value without its lists, as the JSON between the braces."""
        members: Item = {}
        for level in self.levels:
            members |= {name: member for name, member in level.items() if not isinstance(member, list)}
        beside = [STANDBY] if len(self.levels) > 1 else []
        for name in (*beside, "contacts"):
            members.pop(name, None)
        return canonical(members)[1:-1]

    def content(self, list_name: str, item: str) -> str:
        """Return the digest of an item (as canonical JSON) in this change.

        An item outside a list has no id, so hash the whole change value.
        """
        whole = self.field is not None and list_name not in ITEM_KINDS
        return digest(self.scope(), self.account, list_name, canonical(self.value) if whole else item)

    def context(self, contact: Contact | None, limit: int) -> str | None:
        """Return the value without its lists, with the item's contact, as JSON; None above ``limit`` characters."""
        position = contact.position if contact else -1
        if position not in self._contexts:
            self._contexts[position] = self._context(contact, limit)
        return self._contexts[position]

    def _context(self, contact: Contact | None, limit: int) -> str | None:
        parts = [f'"contacts":[{canonical(contact.raw)}]'] if contact else []
        if self._members:
            parts.append(self._members)
        length = sum(map(len, parts))
        return f"{{{','.join(parts)}}}" if length <= limit else None


def items(body: Any) -> Iterator[BodyItem]:
    """Yield every item of a body, in order. UnreadableBody if there is no entry and no change."""
    if not isinstance(body, dict):
        raise UnreadableBody("not a JSON object")
    owner = body.get("object")
    object_digest = "" if owner in (None, WHATSAPP) else digest(canonical(owner))
    entries = body.get("entry")
    if isinstance(entries, list):
        for entry in entries:
            yield from _entry_items(entry, object_digest)
    elif isinstance(body.get("field"), str):  # the body of the App Dashboard's test
        yield from _change_items(body, "null", partial(digest, object_digest, "null"), object_digest)
    else:
        raise UnreadableBody("no entry and no change in it")


def _entry_items(entry: Any, object_digest: str) -> Iterator[BodyItem]:
    """``object_digest`` is the digest of the body's ``object``, "" for WhatsApp's."""
    changes = entry.get("changes") if isinstance(entry, dict) else None
    if not isinstance(changes, list) or (not changes and entry.keys() - {"id", "time", "changes"}):
        yield _undocumented_entry(entry, object_digest)
        return
    if not changes:
        return
    entry_id = entry.get("id")
    scope = partial(digest, object_digest, canonical(entry_id))
    entry_json = canonical(storable(id_text(entry_id)) or None)
    for change in changes:
        yield from _change_items(change, entry_json, scope, object_digest)


def _undocumented_entry(entry: Any, object_digest: str) -> BodyItem:
    """``entry.time`` may differ between two sendings of one body, so it is kept beside the item."""
    beside: Item = {}
    if isinstance(entry, dict) and "time" in entry:
        beside, entry = {"time": entry["time"]}, {name: entry[name] for name in entry if name != "time"}
    return BodyItem(Change("entry", None, beside, "null", partial(digest, object_digest)), "", entry)


def _change_items(
    raw: Any, entry: str, entry_scope: Callable[[], str], object_digest: str
) -> Iterator[BodyItem]:
    field = raw.get("field") if isinstance(raw, dict) else None
    if not isinstance(field, str) or not field:
        yield BodyItem(Change("change", None, None, entry, entry_scope), "", raw)
        return

    def scope() -> str:
        return digest(entry_scope(), canonical(field))

    change = Change(storable(field), field, raw.get("value", raw), entry, scope)
    if object_digest or not isinstance(change.value, dict):
        yield BodyItem(change, "", change.value)
    else:
        yield from _split(change)


def _split(change: Change) -> Iterator[BodyItem]:
    """Yield the items of a change's lists; then its errors, as one; then what else is beside them, as one."""
    lists = [
        (name, level[name])
        for level in change.levels
        for name in ITEM_KINDS
        if isinstance(level.get(name), list)
    ]
    change.length = sum(len(raws) for _, raws in lists)
    for name, raws in lists:
        for raw in raws:
            yield BodyItem(change, name, raw)
    faults = [level[ERRORS] for level in change.levels if isinstance(level.get(ERRORS), list)]
    if not lists and not (faults and change.field in MESSAGING_FIELDS):
        yield BodyItem(change, "", change.value)
        return
    if any(faults):
        yield BodyItem(change, ERRORS, [fault for errors in faults for fault in errors])
    leftover = _leftover_members(change)
    if leftover:
        yield BodyItem(change, "", leftover)


def _leftover_members(change: Change) -> Item:
    """Return what a change with items has besides them that is in no item's context."""
    known = (*ITEM_KINDS, ERRORS)
    return {
        name: member
        for level in change.levels
        for name, member in level.items()
        if name not in ENVELOPE and member and isinstance(member, list) != (name in known)
    }
