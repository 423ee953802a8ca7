"""Replace what would steer a terminal instead of being read: escapes, marks of direction. Pure: no I/O."""

import re

# C0 but tab and newline, DEL, C1, and Unicode's marks of direction
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
REPLACEMENT = "\ufffd"


def printable(text: str) -> str:
    """Return the text with each control character replaced; tabs and newlines stay."""
    return CONTROL.sub(REPLACEMENT, text)
