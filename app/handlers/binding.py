"""Which of the business's numbers and accounts a handler is for."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.handlers.options import HandlerError, check_names

Scope = tuple[str, str]  # ("number", its phone_number_id) or ("account", the WABA's id)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event came in: at which number, of which account; "" where it names none."""

    number: str = ""
    account: str = ""

    @classmethod
    def of(cls, payload: str) -> "Origin":
        """Read it out of an event's payload."""
        content: Any = json.loads(payload)
        value = content.get("value")
        metadata = value.get("metadata") if isinstance(value, dict) else None
        number = metadata.get("phone_number_id") if isinstance(metadata, dict) else None
        return cls(_text(number), _text(content.get("entry")))

    @property
    def scopes(self) -> list[Scope]:
        """Return what a handler may be bound to in order to be for it."""
        named = [("number", self.number), ("account", self.account)]
        return [scope for scope in named if scope[1]]


NOWHERE = Origin()


def scopes_of(numbers: Any, accounts: Any) -> tuple[Scope, ...]:
    """Return what a handler is bound to; none is everything. HandlerError for what are no ids."""
    for option, ids in (("numbers", numbers), ("accounts", accounts)):
        check_names(option, ids)
        for id_ in ids:
            if not (id_.isascii() and id_.isdigit()):
                raise HandlerError(f"{option} takes ids as Meta shows them, all digits, not {id_!r}")
    return (*(("number", id_) for id_ in numbers), *(("account", id_) for id_ in accounts))


def overlap(one: Iterable[Scope], other: Iterable[Scope]) -> str | None:
    """Return what two handlers are both for; None if no event can be for both.

    Whether a number belongs to an account nobody here knows, so one may.
    """
    first, second = set(one), set(other)
    if not first or not second:
        return "every number" if not (first or second) else "what the other is bound to"
    if both := sorted(first & second):
        return " ".join(both[0])
    kinds = {kind for kind, _ in first | second}
    return "a number of the account, for all that is known here" if len(kinds) > 1 else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
