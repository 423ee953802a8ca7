"""Who is to be erased: every name that they go by, and their conversations."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import Connection, text

from app.errors import NeverdropError

PHONE = re.compile("[0-9]{7,17}")  # shorter ones would be found in other people's numbers
USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{4,128}")  # a BSUID, or a parent's
SEPARATORS = re.compile(r"[\s()\-]")

NAMED = text("""
SELECT DISTINCT coalesce(c.merged_into, c.id)
FROM conversation_aliases a JOIN conversations c ON c.id = a.conversation_id
WHERE right(a.key, length(:name) + 1) = '/' || :name
""")
# Events in a conversation of somebody erased came while that was done: they go with whoever is erased next
MEMBERS = text("""
SELECT id FROM conversations c WHERE id = ANY(:roots) OR merged_into = ANY(:roots)
  OR (key = 'erased/' || id AND EXISTS (SELECT FROM events e WHERE e.lane = c.id))
ORDER BY id
""")
ROOT = text("SELECT coalesce(merged_into, id) FROM conversations WHERE id = :id")
NAMES = text("SELECT key FROM conversation_aliases WHERE conversation_id = ANY(:ids)")


class ErasureError(NeverdropError):
    """Somebody cannot be erased, or not now; the text says why and what to do."""


@dataclass(frozen=True)
class ErasedPerson:
    """Their names (phone numbers, user ids; a group's id where its conversation was chosen) and conversations."""

    chosen_by: str  # phone, user or conversation
    names: frozenset[str]
    conversations: tuple[int, ...]

    @cached_property
    def pattern(self) -> str:
        """A regular expression, for Postgres and Python, that finds a name but not a longer one with it inside."""
        return "|".join(_alone(name) for name in sorted(self.names))

    @cached_property
    def fragments(self) -> tuple[str, ...]:
        """What a message's id (wamid) of theirs contains: the number with its length before it, in Base64."""
        return tuple(
            fragment
            for name in sorted(self.names)
            if PHONE.fullmatch(name)
            for fragment in _base64(bytes([len(name)]) + name.encode())
        )


def find(connection: Connection, kind: str, name: str) -> ErasedPerson:
    """Return a person by a phone number or user id, with every other name that was learnt; ErasureError for no name."""
    name = SEPARATORS.sub("", name).removeprefix("+")
    if not (PHONE if kind == "phone" else USER_ID).fullmatch(name):
        shape = (
            "7 to 17 digits, with the country's code" if kind == "phone" else "like US.13491208655302741918"
        )
        raise ErasureError(
            f"that is no {'phone number' if kind == 'phone' else 'user id'}: it must be {shape}"
        )
    roots = connection.execute(NAMED, {"name": name}).scalars().all()
    return _person(connection, kind, roots, {name})


def of_conversation(connection: Connection, conversation: int) -> ErasedPerson:
    """Return who a conversation is with; ErasureError where there is none of this number."""
    root = connection.execute(ROOT, {"id": conversation}).scalar()
    person = _person(connection, "conversation", [] if root is None else [root], set())
    if not person.names:
        raise ErasureError(f"there is no conversation {conversation} with a name: was it erased already?")
    return person


def _person(connection: Connection, kind: str, roots: Sequence[int], names: set[str]) -> ErasedPerson:
    """Follow names to conversations and conversations to names, until neither brings anything new."""
    while True:
        ids = connection.execute(MEMBERS, {"roots": list(roots)}).scalars().all()
        keys = connection.execute(NAMES, {"ids": list(ids)}).scalars().all()
        more = {key.partition("/")[2] for key in keys} - names
        if not more:
            return ErasedPerson(kind, frozenset(names), tuple(ids))
        names |= more
        roots = sorted(
            {root for name in names for root in connection.execute(NAMED, {"name": name}).scalars()}
            | {*roots}
        )


def _alone(name: str) -> str:
    letters = "0-9" if name.isdecimal() else "A-Za-z0-9."
    return f"(?<![{letters}]){re.escape(name)}(?![{letters.removesuffix('.')}])"


def _base64(content: bytes) -> list[str]:
    """Return the characters that stand for the whole content, wherever in a longer one it begins."""
    found = []
    for before in range(3):
        encoded = b64encode(b"\0" * before + content).decode()
        found.append(encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6])
    return found
