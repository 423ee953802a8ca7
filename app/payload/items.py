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
DOCUMENTED = frozenset(("id", "time", "changes"))  # members of an entry
STANDBY = "standby"  # field and object of the same name: its lists are one level deeper
ENVELOPE = frozenset(("messaging_product", "metadata", "contacts", STANDBY))
# Members of a value that say whose state it tells
SUBJECT_IDS = ("message_template_id", "flow_id", "display_phone_number", "group_id", "user_id", "wa_id")


class UnreadableBody(Exception):
    """The body holds no entry and no change; the text says why."""


class BodyItem(NamedTuple):
    """Something to make an event of. ``list_name``: its list, "errors" for that whole list, "" for the change."""

    change: "Change"
    list_name: str
    raw: Any


class EntryContext(NamedTuple):
    """What the changes of one entry share."""

    entry: str  # the entry's id as JSON
    scope: Callable[[], str]  # digest of what tells one entry from another: object, id
    object_digest: str  # of the body's ``object``, "" for WhatsApp's
    time: Any = None  # Meta's time of the entry, as it stands there
    # Members that Meta does not document: {"body": {...}, "entry": {...}}
    beside: Item | None = None


class Change:
    """One change, and what its items share."""

    def __init__(
        self,
        kind: str,
        field: str | None,
        value: Any,
        context: EntryContext,
        scope: Callable[[], str],
        beside: Item | None = None,
    ) -> None:
        self.kind = kind  # the type of an event that has none of its own: the field, "entry" or "change"
        self.field = field
        self.field_json = canonical(None if field is None else kind)
        self.key_prefix = escape_part(field or kind)  # escaped once, however long a field is
        self.value = value
        self.entry = context.entry
        self.entry_time = context.time
        self.around = _around(context, beside)
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

    def subject(self, list_name: str) -> str:
        """Return the digest of the subject of an item without ids: where it stands, and the ids in its value."""
        value = self.value if isinstance(self.value, dict) else {}
        ids = (canonical([name, value[name]]) for name in SUBJECT_IDS if name in value)
        return digest(self.scope(), self.account, list_name, *ids)

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
        length = sum(map(len, parts)) + len(self.around)
        return f"{{{','.join(parts)}}}" if length <= limit else None


def _around(context: EntryContext, beside_value: Item | None) -> str:
    """Return what stands beside the value in a body, as JSON members that begin a payload; "" for nothing."""
    members: Item = {} if context.time is None else {"entry_time": context.time}
    beside = (context.beside or {}) | ({"change": beside_value} if beside_value else {})
    if beside:
        members["beside"] = beside
    return f"{canonical(members)[1:-1]}," if members else ""


def items(body: Any) -> Iterator[BodyItem]:
    """Yield every item of a body, in order. UnreadableBody if there is no entry and no change."""
    if not isinstance(body, dict):
        raise UnreadableBody("not a JSON object")
    owner = body.get("object")
    object_digest = "" if owner in (None, WHATSAPP) else digest(canonical(owner))
    entries = body.get("entry")
    if isinstance(entries, list):
        beside = {
            name: body[name] for name in body if name != "entry" and (name != "object" or object_digest)
        }
        for entry in entries:
            yield from _entry_items(entry, object_digest, {"body": beside} if beside else {})
    elif isinstance(body.get("field"), str):  # the body of the App Dashboard's test
        scope = partial(digest, object_digest, "null")
        yield from _change_items(body, EntryContext("null", scope, object_digest))
    else:
        raise UnreadableBody("no entry and no change in it")


def _entry_items(entry: Any, object_digest: str, beside: Item) -> Iterator[BodyItem]:
    changes = entry.get("changes") if isinstance(entry, dict) else None
    if not isinstance(changes, list) or (not changes and entry.keys() - DOCUMENTED):
        yield _undocumented_entry(entry, object_digest, beside)
        return
    if not changes:
        return
    entry_id = entry.get("id")
    if entry.keys() - DOCUMENTED:
        beside = beside | {"entry": {name: entry[name] for name in entry if name not in DOCUMENTED}}
    context = EntryContext(
        canonical(storable(id_text(entry_id)) or None),
        partial(digest, object_digest, canonical(entry_id)),
        object_digest,
        entry.get("time"),
        beside,
    )
    for change in changes:
        yield from _change_items(change, context)


def _undocumented_entry(entry: Any, object_digest: str, beside: Item) -> BodyItem:
    """``entry.time`` may differ between two sendings of one body, so it is kept beside the item."""
    time = None
    value: Item = {}
    if isinstance(entry, dict) and "time" in entry:
        time, entry = entry["time"], {name: entry[name] for name in entry if name != "time"}
        value = {"time": time}
    scope = partial(digest, object_digest)
    context = EntryContext("null", scope, object_digest, time, beside)
    return BodyItem(Change("entry", None, value, context, scope), "", entry)


def _change_items(raw: Any, context: EntryContext) -> Iterator[BodyItem]:
    field = raw.get("field") if isinstance(raw, dict) else None
    if not isinstance(field, str) or not field:
        yield BodyItem(Change("change", None, None, context, context.scope), "", raw)
        return

    def scope() -> str:
        return digest(context.scope(), canonical(field))

    beside = {name: raw[name] for name in raw if name not in ("field", "value")} if "value" in raw else None
    change = Change(storable(field), field, raw.get("value", raw), context, scope, beside)
    if context.object_digest or not isinstance(change.value, dict):
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
