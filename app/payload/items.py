"""What is in a webhook body: entries × changes × items. Pure: no I/O.

Nothing is left out for being unknown. A list whose items have an identity gives an item each; a change
with no such list is one item itself, and so is an entry or change of a shape that Meta does not document.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import Any, NamedTuple

from app.payload.identity import Item, canonical, digest, part, storable, text
from app.payload.participants import Contact, Contacts, account_of, own_phone_of

WHATSAPP = "whatsapp_business_account"
CONTEXT_LIMIT = 16 * 1024  # characters of context stored with one item
# Lists whose items are events of their own, in the order in which they count
ITEM_LISTS = (
    "messages",
    "statuses",
    "message_echoes",
    "calls",
    "groups",
    "user_preferences",
    "user_id_update",
    "automatic_events",
    "history",
    "user_actions",
)
ERRORS = "errors"
# Here value.errors is a list of faults; on other fields it is one of the change's particulars
MESSAGING_FIELDS = ("messages", "calls", "smb_message_echoes", "message_echoes", "standby", "history")
STANDBY = "standby"  # field and object of the same name: its lists are one level deeper
ENVELOPE = frozenset(("messaging_product", "metadata", "contacts", STANDBY))


class UnreadableBody(Exception):
    """The body holds no entry and no change; the text says why."""


class BodyItem(NamedTuple):
    """Something to make an event of. ``source`` is its list, "errors" for that whole list, or "" for the
    change itself."""

    change: "Change"
    source: str
    raw: Any


class Change:
    """One change, and what its items share."""

    def __init__(
        self, kind: str, field: str | None, value: Any, entry: str, scope: Callable[[], str]
    ) -> None:
        self.kind = kind  # the type of an event that has none of its own: the field, "entry" or "change"
        self.field = field
        self.field_json = canonical(None if field is None else kind)
        self.noun = part(field or kind)  # what its keys begin with; hashed once, however long a field is
        self.value = value
        self.entry = entry  # the entry's id as JSON
        self.scope = scope  # hash of all that tells this place in a body from another: object, entry, field
        inner = value.get(STANDBY) if isinstance(value, dict) and field == STANDBY else None
        whole = (value,) if isinstance(value, dict) else ()
        self.levels: tuple[Item, ...] = (*whole, inner) if isinstance(inner, dict) else whole
        self.length = 0  # how many items of ITEM_LISTS it has
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

    def content(self, source: str, item: str) -> str:
        """The hash of an item (as canonical JSON) in this place. What is no list's item has nothing that
        tells it from its like in another body but the whole value."""
        whole = self.field is not None and source not in ITEM_LISTS
        return digest(self.scope(), self.account, source, canonical(self.value) if whole else item)

    def context(self, contact: Contact | None, limit: int) -> str | None:
        """The value without its lists, with the item's contact, as JSON; None above ``limit`` characters."""
        place = contact.place if contact else -1
        if place not in self._contexts:
            self._contexts[place] = self._context(contact, limit)
        return self._contexts[place]

    def _context(self, contact: Contact | None, limit: int) -> str | None:
        parts = [f'"contacts":[{canonical(contact.raw)}]'] if contact else []
        if self._members:
            parts.append(self._members)
        length = sum(map(len, parts))
        return f"{{{','.join(parts)}}}" if length <= limit else None


def items(body: Any) -> Iterator[BodyItem]:
    """Every item of a body, in order; raises UnreadableBody where there is no entry and no change."""
    if not isinstance(body, dict):
        raise UnreadableBody("not a JSON object")
    owner = body.get("object")
    foreign = "" if owner in (None, WHATSAPP) else digest(canonical(owner))
    entries = body.get("entry")
    if isinstance(entries, list):
        for entry in entries:
            yield from _entry_items(entry, foreign)
    elif isinstance(body.get("field"), str):  # the body of the App Dashboard's test
        yield from _change_items(body, "null", partial(digest, foreign, "null"), foreign)
    else:
        raise UnreadableBody("no entry and no change in it")


def _entry_items(entry: Any, foreign: str) -> Iterator[BodyItem]:
    """``foreign`` is the hash of the body's ``object``, "" for WhatsApp's."""
    changes = entry.get("changes") if isinstance(entry, dict) else None
    if not isinstance(changes, list) or (not changes and entry.keys() - {"id", "time", "changes"}):
        yield _odd_entry(entry, foreign)
        return
    if not changes:
        return
    named = entry.get("id")
    shown = canonical(storable(text(named)) or None)
    scope = partial(digest, foreign, canonical(named))
    for change in changes:
        yield from _change_items(change, shown, scope, foreign)


def _odd_entry(entry: Any, foreign: str) -> BodyItem:
    """``entry.time`` may differ between two sendings of one body, so it is kept beside the item."""
    beside: Item = {}
    if isinstance(entry, dict) and "time" in entry:
        beside, entry = {"time": entry["time"]}, {name: entry[name] for name in entry if name != "time"}
    return BodyItem(Change("entry", None, beside, "null", partial(digest, foreign)), "", entry)


def _change_items(raw: Any, entry: str, place: Callable[[], str], foreign: str) -> Iterator[BodyItem]:
    field = raw.get("field") if isinstance(raw, dict) else None
    if not isinstance(field, str) or not field:
        yield BodyItem(Change("change", None, None, entry, place), "", raw)
        return

    def scope() -> str:
        return digest(place(), canonical(field))

    change = Change(storable(field), field, raw.get("value", raw), entry, scope)
    if foreign or not isinstance(change.value, dict):
        yield BodyItem(change, "", change.value)
    else:
        yield from _split(change)


def _split(change: Change) -> Iterator[BodyItem]:
    """The items of a change's lists; then its errors, as one; then what else is beside them, as one."""
    lists = [
        (name, level[name])
        for level in change.levels
        for name in ITEM_LISTS
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
    rest = _rest(change)
    if rest:
        yield BodyItem(change, "", rest)


def _rest(change: Change) -> Item:
    """What a change with items has besides them that no item's context shows."""
    known = (*ITEM_LISTS, ERRORS)
    return {
        name: member
        for level in change.levels
        for name, member in level.items()
        if name not in ENVELOPE and member and isinstance(member, list) != (name in known)
    }
