"""Hide the texts of one payload wherever they appear: whole, in part, or as ``repr`` and JSON write them. Pure: no I/O.

Work grows with the length of what is masked, not with its product with the payload's: a long text is cut into pieces
of PIECE characters, which a dictionary finds, and each find is extended over what matches on both sides.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cached_property
from itertools import islice
from typing import Any

MASK = "…"
PIECE = 16  # characters
STEP = 256  # characters that are compared at a time
MAX_SHORT_TEXTS = 200  # shorter texts beyond this many are not looked for
MAX_LEAVES = 20_000  # texts of a payload
MAX_CHARACTERS = 512 * 1024  # of a payload's texts; what is quoted is cut far below this
BOUNDED_LENGTH = 4  # a shorter text is masked only as a word of its own: "ok" is in "token" too
WHITE_SPACE = re.compile(r"\s")
MIN_NAME_PART = 3  # characters
NAME_KEYS = frozenset({"name", "first_name", "middle_name", "last_name", "formatted_name", "username"})
# Keys of a payload whose values are words of the protocol.
PROTOCOL_KEYS = frozenset(
    """
    category field messaging_product mime_type object phone_number_id recipient_type status timestamp type
    """.split()  # noqa: SIM905  (words read better than a column of quotes)
)


def mask_hidden(value: str) -> str:
    """Mask the texts of the payload that ``hiding`` names; without one return the value.

    A thread that a handler started has no payload of its own: the last one of the process is meant.
    """
    hidden = _hidden.get()
    if hidden is None and threading.current_thread() is not threading.main_thread():
        hidden = _last
    return hidden.mask(value) if hidden else value


@contextmanager
def hiding(payload: str) -> Iterator[None]:
    """While it lasts, every text in ``payload`` (JSON) is masked in all that is logged or reported."""
    global _last
    _last = _Hidden(payload)
    token = _hidden.set(_last)
    try:
        yield
    finally:
        _hidden.reset(token)


class _Hidden:
    """The texts of one payload, looked at only once something is to be masked."""

    def __init__(self, payload: str) -> None:
        self._payload = payload

    def mask(self, value: str) -> str:
        for start, end in reversed(list(self._spans(value))):
            value = f"{value[:start]}{MASK}{value[end:]}"
        return self._short.sub(MASK, value) if self._short else value

    def _spans(self, value: str) -> Iterator[tuple[int, int]]:
        """Yield where parts of long texts stand in the value, from left to right."""
        folded, position, end = _folded(value), 0, 0
        while self._pieces and position <= len(folded) - PIECE:
            source = self._pieces.get(folded[position : position + PIECE])
            if source is None:
                position += 1
                continue
            text, offset = source
            start = position - _matching_before(folded, position, text, offset, position - end)
            end = position + PIECE + _matching_after(folded, position + PIECE, text, offset + PIECE)
            yield start, end
            position = end

    @cached_property
    def _texts(self) -> list[str]:
        """Return each text of the payload in each spelling, the longest first, within the limits."""
        try:
            content = json.loads(self._payload)
            leaves = set(islice(_leaves(content), MAX_LEAVES)) | set(islice(_name_parts(content), MAX_LEAVES))
        except (ValueError, RecursionError):
            return []
        texts, characters = [], 0
        for text in sorted({spelling for leaf in leaves for spelling in _spellings(leaf)}, key=len):
            characters += len(text)
            texts.append(text[: max(0, MAX_CHARACTERS - characters + len(text))])
        return texts[::-1]

    @cached_property
    def _pieces(self) -> dict[str, tuple[str, int]]:
        """Map each piece of a long text to the text and the piece's place in it; the last piece may overlap."""
        pieces: dict[str, tuple[str, int]] = {}
        for text in map(_folded, self._texts):
            if len(text) >= PIECE:
                for offset in (*range(0, len(text) - PIECE + 1, PIECE), len(text) - PIECE):
                    pieces.setdefault(text[offset : offset + PIECE], (text, offset))
        return pieces

    @cached_property
    def _short(self) -> re.Pattern[str] | None:
        shorts = [text for text in self._texts if 0 < len(text) < PIECE][:MAX_SHORT_TEXTS]
        return re.compile("|".join(map(_bounded, shorts)), re.IGNORECASE) if shorts else None


def _folded(text: str) -> str:
    """Return the text in lower case, or as it is where that would move its characters; white space as blanks."""
    lower = text.lower()
    return WHITE_SPACE.sub(" ", lower if len(lower) == len(text) else text)


def _matching_after(value: str, position: int, text: str, offset: int) -> int:
    """Return how many characters are equal from the two places on."""
    count = 0
    while chunk := value[position + count : position + count + STEP]:
        other = text[offset + count : offset + count + STEP]
        if chunk != other:
            return count + next((i for i, pair in enumerate(zip(chunk, other, strict=False)) if pair[0] != pair[1]),
                                min(len(chunk), len(other)))  # fmt: skip
        count += len(chunk)
    return count


def _matching_before(value: str, position: int, text: str, offset: int, limit: int) -> int:
    """Return how many characters are equal before the two places; a whole piece would have been found."""
    count = 0
    while count < min(limit, offset, PIECE - 1) and value[position - count - 1] == text[offset - count - 1]:
        count += 1
    return count


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in PROTOCOL_KEYS:
                yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)


def _name_parts(value: Any) -> Iterator[str]:
    """Yield each word of people's names, which errors quote alone."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in NAME_KEYS and isinstance(inner, str):
                yield from (part for part in inner.split() if len(part) >= MIN_NAME_PART)
            else:
                yield from _name_parts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _name_parts(inner)


def _spellings(text: str) -> Iterator[str]:
    """Yield a text as it is, and as ``repr`` and JSON write it."""
    text = text.strip()[:MAX_CHARACTERS]
    if len(text) > 1 or not text.isascii():
        yield from filter(None, (text, repr(text)[1:-1], json.dumps(text)[1:-1]))


def _bounded(text: str) -> str:
    if len(text) >= BOUNDED_LENGTH or not text.isascii():
        return re.escape(text)
    return rf"(?<!\w){re.escape(text)}(?!\w)"


_last: _Hidden | None = None  # of this process
_hidden: ContextVar[_Hidden | None] = ContextVar("hidden", default=None)
