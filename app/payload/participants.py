"""The other side of an item: every name that it gives of its conversation. Pure: no I/O.

A user goes by a BSUID (``user_id``), a phone number (``wa_id``), or both, and Meta leaves the phone out when
it may not be shown; a group goes by its id alone. A name is ``<phone_number_id>/<name>``. An item that
carries two names of one user links them, and so does a system message that tells of a change.
"""

import re
from collections.abc import Container, Iterable, Iterator
from typing import Any, NamedTuple

from app.payload.identity import TEXT_LIMIT, Item, id_text, storable

CHANGES = ("user_changed_number", "user_changed_user_id", "customer_changed_number")  # system.type
CHANGE_TAIL = 400  # characters at the end of a system message's text that may name old and new
SPECIAL = re.compile("[%~\x00\ud800-\udfff]")
ESCAPES = str.maketrans({"%": "%25", "~": "%7E"})  # so that no name looks like another's hash


class Contact(NamedTuple):
    """One of a change's ``contacts[]``; "" for a name it does not give."""

    position: int
    user_id: str
    phone: str
    raw: Item


class Contacts:
    """The contacts of a change, found by name: Meta promises no common order with the items."""

    def __init__(self, raw: Iterable[Any]) -> None:
        self._all = [
            Contact(position, _name(contact.get("user_id")), _name(contact.get("wa_id")), contact)
            for position, contact in enumerate(raw)
            if isinstance(contact, dict)
        ]
        self._by_user_id: dict[str, Contact] = {}
        self._by_phone: dict[str, Contact] = {}
        for contact in self._all:
            self._by_user_id.setdefault(contact.user_id, contact)
            self._by_phone.setdefault(contact.phone, contact)

    def links(self, account: str, known: Container[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
        """Yield the two names of each contact that has both, but for pairs in ``known``."""
        for contact in self._all:
            if contact.user_id and contact.phone:
                names = (_alias(account, contact.user_id), _alias(account, contact.phone))
                if names not in known:
                    yield names

    def of(self, participant: "Participant", alone: bool) -> Contact | None:
        """Return the contact of an item's user, or None.

        If a change has one item (``alone``) and one contact, pair them unless their names conflict.
        """
        for user_id in participant.user_ids:
            if user_id and user_id in self._by_user_id:
                return self._by_user_id[user_id]
        for phone in participant.phones:
            if phone and phone in self._by_phone:
                return self._by_phone[phone]
        if alone and len(self._all) == 1 and _agree(participant, self._all[0]):
            return self._all[0]
        return None


class Participant(NamedTuple):
    """The other side of an item: a group, or a user by their names, the newest first ("" for none)."""

    group: str = ""
    user_ids: tuple[str, ...] = ()
    phones: tuple[str, ...] = ()
    change_notice: bool = False  # Meta tells that the user's names have changed


NO_PARTICIPANT = Participant()


def account_of(metadata: Any) -> str:
    """Return the phone_number_id as names begin with it; "" if there is none."""
    return _name(metadata.get("phone_number_id")).replace("/", "%2F") if isinstance(metadata, dict) else ""


def own_phone_of(metadata: Any) -> str:
    """Return the business's own number as digits, however it is displayed."""
    displayed = id_text(metadata.get("display_phone_number")) if isinstance(metadata, dict) else ""
    return displayed if displayed.isdigit() else "".join(filter(str.isdigit, displayed))


def aliases(account: str, participant: Participant, contact: Contact | None) -> tuple[str, ...]:
    """Return every name of the conversation, the strongest first: the group alone, or BSUIDs before phones.

    ``account`` is the phone_number_id; without one a name would mean nothing.
    """
    if not account:
        return ()
    if participant.group:
        return (_alias(account, participant.group),)
    user_ids, phones = participant.user_ids, participant.phones
    if contact and not any(user_ids):
        user_ids = (contact.user_id,)
    if contact and not any(phones):
        phones = (contact.phone,)
    return tuple(dict.fromkeys(_alias(account, name) for name in (*user_ids, *phones) if name))


def named_participant(item: Item, _own_phone: str) -> Participant:
    """Return whom the members ``group_id``, ``user_id`` and ``wa_id`` name: as in most lists."""
    return Participant(
        _name(item.get("group_id")), (_name(item.get("user_id")),), (_name(item.get("wa_id")),)
    )


def group_only(item: Item, _own_phone: str) -> Participant:
    """Return the group that a change of a group is about."""
    return Participant(group=_name(item.get("group_id")))


def message_participant(item: Item, own_phone: str) -> Participant:
    """Return who wrote a message; of one of our own, whom it was addressed to."""
    system = item.get("system")
    group = _name(item.get("group_id"))
    user_id, phone = _name(item.get("from_user_id")), _name(item.get("from"))
    if phone and phone == own_phone:
        # Ours, as in a history. Beside other names it would link every user to the business.
        addressed = Participant(group, (_name(item.get("to_user_id")),), (_name(item.get("to")),))
        named = any(addressed.user_ids) or any(addressed.phones)
        return addressed if named else Participant(group, (user_id,), ("" if user_id else phone,))
    if isinstance(system, dict) and system.get("type") in CHANGES:
        return _changed_participant(group, user_id, phone, system)
    return Participant(group, (user_id,), (phone,))


def _changed_participant(group: str, user_id: str, phone: str, system: Item) -> Participant:
    """Return who a user was and is. The old names are fields of their own, or only the end of the text."""
    new_user_id, new_phone = _name(system.get("user_id")), _name(system.get("wa_id"))
    before = _before(system.get("body"), (new_user_id, new_phone))
    by_user_id = before if before and before[1] == new_user_id else ("", "")
    by_phone = before if before and before[1] == new_phone else ("", "")
    return Participant(
        group,
        (user_id, new_user_id, _name(system.get("previous_user_id")), by_user_id[0]),
        (phone, by_phone[0], _name(system.get("customer")), new_phone),
        change_notice=True,
    )


def _before(body: Any, now: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the names at the end of "... changed from OLD to NEW". NEW must be known: the text before it holds
    the user's profile name, which may say anything."""
    words = body[-CHANGE_TAIL:].split() if isinstance(body, str) else []
    if len(words) < 5 or words[-5:-3] != ["changed", "from"] or words[-2] != "to":
        return None
    old, new = _name(words[-3]), _name(words[-1].rstrip("."))
    return (old, new) if new and new in now else None


def status_participant(item: Item, _own_phone: str) -> Participant:
    """Return to whom the message of a status was sent."""
    if item.get("recipient_type") == "group" or item.get("group_id"):
        return Participant(
            _name(item.get("group_id")) or _name(item.get("recipient_id")),
            (_name(item.get("recipient_participant_user_id")),),
            (_name(item.get("recipient_participant_id")) or _name(item.get("participant_recipient_id")),),
        )
    return Participant("", (_name(item.get("recipient_user_id")),), (_name(item.get("recipient_id")),))


def echo_participant(item: Item, _own_phone: str) -> Participant:
    """Return to whom an echo was sent. It is addressed itself, or in standby carries the body of the send."""
    sent = item.get("message")
    if not isinstance(sent, dict):
        sent = {}
    to = _name(item.get("to")) or _name(sent.get("to"))
    group = _name(item.get("group_id"))
    if "group" in (item.get("recipient_type"), sent.get("recipient_type")):
        return Participant(group or to)
    return Participant(group, (_name(item.get("to_user_id")) or _name(sent.get("recipient")),), (to,))


def call_participant(item: Item, own_phone: str) -> Participant:
    """Return the side of a call that is not ours."""
    callee = Participant("", (_name(item.get("to_user_id")),), (_name(item.get("to")),))
    caller = Participant("", (_name(item.get("from_user_id")),), (_name(item.get("from")),))
    if any(callee.user_ids) != any(caller.user_ids):
        return callee if any(callee.user_ids) else caller
    if own_phone and own_phone in callee.phones + caller.phones:
        return caller if own_phone in callee.phones else callee
    return callee if item.get("direction") == "BUSINESS_INITIATED" else caller


def user_id_update_participant(item: Item, _own_phone: str) -> Participant:
    """Return a user by the new and the previous BSUID."""
    changed = item.get("user_id")
    if not isinstance(changed, dict):
        return Participant("", (_name(changed),), (_name(item.get("wa_id")),))
    user_ids = (_name(changed.get("current")), _name(changed.get("previous")))
    return Participant("", user_ids, (_name(item.get("wa_id")),), change_notice=True)


def _agree(participant: Participant, contact: Contact) -> bool:
    """Return whether no name that both give differs."""
    user_ids, phones = set(filter(None, participant.user_ids)), set(filter(None, participant.phones))
    return (not user_ids or contact.user_id in (*user_ids, "")) and (
        not phones or contact.phone in (*phones, "")
    )


def _name(value: Any) -> str:
    name = id_text(value)
    if len(name) <= TEXT_LIMIT and not SPECIAL.search(name):
        return name
    return storable(name.translate(ESCAPES))


def _alias(account: str, name: str) -> str:
    return storable(f"{account}/{name}")
