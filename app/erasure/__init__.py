"""Erase a person: delete all that is stored of them, and prove that nothing is left.

Promises: after ``erase`` no table of ours and no key in Redis names the person or one of their messages, and what
Meta repeats of them is not stored again: digests of keys and message ids are kept. An erasure that was stopped half way
can be run again. Who asked and when is kept, not whom.
Relies on: every name of a person being an alias of their conversation.
Cannot see: log lines, backups, what handlers wrote elsewhere. ``look`` names tables of handlers that name the person.
"""

from app.erasure.erasure import Erased, count, erase
from app.erasure.look import Place, look
from app.erasure.person import ErasedPerson, ErasureError, find, of_conversation

__all__ = [
    "Erased",
    "ErasedPerson",
    "ErasureError",
    "Place",
    "count",
    "erase",
    "find",
    "look",
    "of_conversation",
]
