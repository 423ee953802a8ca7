"""Find, and take out, what text still says of a person: their names, and the ids of their messages. Pure: no I/O."""

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from app.erasure.person import ErasedPerson

MESSAGE_ID = r"wa[mc]id\.[A-Za-z0-9+/=_-]+"
ERASED_ID = "wamid.erased"
ERASED_NAME = "erased"
ERASED_PHONE = "0"  # also where a number stands in JSON
BASE64 = re.compile("[A-Za-z0-9+/]{16,}")
MAX_DEPTH = 3  # of Base64 in Base64: a body in a message in quarantine

# Whether a text (:pattern and :fragments are the person's) names them, or has the id of a message that was erased
NAMED_IN = f"""
({{text}} ~ :pattern OR {{text}} ~ :fragments
 OR EXISTS (SELECT FROM regexp_matches({{text}}, '{MESSAGE_ID}', 'g') AS id
            JOIN erased_keys ON digest = encode(sha256(convert_to(id[1], 'UTF8')), 'hex')))"""


def digest(text: str) -> str:
    """Return the SHA-256 of a key or id, in hex."""
    return sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Traces:
    """What to look for: a person's names, and the messages whose digests are kept."""

    person: ErasedPerson
    digests: frozenset[str]

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return re.compile(self.person.pattern)

    @property
    def parameters(self) -> dict[str, str]:
        """Return the parameters of NAMED_IN; what nothing matches where there are no fragments."""
        fragments = "|".join(map(re.escape, self.person.fragments)) or "(?!)"
        return {"pattern": self.person.pattern, "fragments": fragments}

    def are_in(self, text: str) -> bool:
        """Return whether a text names the person or a message of theirs, in Base64 too."""
        return any(self._are_in(each.replace("\\/", "/")) for each in _decoded(text, MAX_DEPTH))

    def without(self, text: str) -> str:
        """Return the text without them; JSON stays JSON."""
        less = re.sub(MESSAGE_ID, lambda found: ERASED_ID if self._is_theirs(found[0]) else found[0], text)
        less = self._names.sub(lambda found: ERASED_PHONE if found[0].isdecimal() else ERASED_NAME, less)
        return less if less == text or _is_json(less) or not _is_json(text) else "{}"

    def _are_in(self, text: str) -> bool:
        return bool(self._names.search(text)) or any(map(self._is_theirs, re.findall(MESSAGE_ID, text)))

    def _is_theirs(self, message_id: str) -> bool:
        return digest(message_id) in self.digests or any(each in message_id for each in self.person.fragments)


def _decoded(text: str, depth: int) -> Iterator[str]:
    """Yield a text, and what stands in it in Base64."""
    yield text
    if depth:
        for run in BASE64.findall(text):
            content = b64decode(run[: len(run) // 4 * 4]).decode("utf-8", "replace")
            yield from _decoded(content, depth - 1)


def _is_json(text: str) -> bool:
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict | list)
