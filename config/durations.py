"""Times as people write them: ``90s``, ``30m``, ``12h``, ``2d``. Pure: no I/O."""

import re
from typing import Any

DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*([smhd])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_SECONDS = 365 * 86_400


def parse_duration(text: str) -> float:
    """Return the seconds; ValueError for what is no time, or more than a year."""
    found = DURATION.fullmatch(text.strip().lower())
    seconds = float(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= MAX_SECONDS:
        raise ValueError(f"must be a time like 30m, 12h or 2d, up to a year, not {text!r}")
    return seconds


def duration_or_off(value: Any) -> Any:
    """Return a setting's seconds; nothing, or ``off``, is None."""
    if isinstance(value, str):
        return None if value.strip().lower() in ("", "off") else parse_duration(value)
    return value
