"""What the stand-in can be told to do wrong. Pure: no I/O."""

import random
from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class Faults:
    """Shares of all sends, from 0 to 1, that go wrong in a way; times in seconds."""

    throttled: float = 0  # 130429
    pair_limited: float = 0  # 131056
    bare_5xx: float = 0  # 503 without Meta's JSON; nothing was sent
    bare_5xx_sent: float = 0  # 503 without Meta's JSON, although it was sent
    graph_5xx: float = 0  # 500 with Meta's JSON, 131000
    cut_off: float = 0  # the connection is closed after it was sent
    slow: float = 0  # answered after slow_seconds
    slow_seconds: float = 1.0
    failed: float = 0  # accepted, then a status failed with 131026
    token_expired: bool = False  # 190 for everything
    status_first: bool = False  # the status ``sent`` leaves before the answer
    no_status: bool = False  # no status ever
    media_expired: bool = False  # addresses of files live no more
    media_broken: bool = False  # files arrive with another content
    read: bool = True  # users read what they get

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_flag = isinstance(field.default, bool)
            if is_flag and not isinstance(value, bool):
                raise ValueError(f"{field.name} is true or false, not {value!r}")
            if not is_flag and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
                raise ValueError(f"{field.name} is a number from 0, not {value!r}")

    def changed(self, given: dict[str, Any]) -> "Faults":
        """Return these with some changed; ValueError names what is unknown."""
        known = {field.name for field in fields(self)}
        if unknown := set(given) - known:
            raise ValueError(
                f"no such fault: {', '.join(sorted(unknown))}; these are: {', '.join(sorted(known))}"
            )
        return replace(self, **given)

    def draw(self) -> str | None:
        """Return the name of the fault that meets one send; None for none."""
        names = ("throttled", "pair_limited", "bare_5xx", "bare_5xx_sent", "graph_5xx", "cut_off")
        at = random.random()
        for name in names:
            at -= getattr(self, name)
            if at < 0:
                return name
        return None
