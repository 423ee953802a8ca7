"""What the doctor found. Pure: no I/O."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    PROBLEM = "problem"  # something does not work, or loses what it is given
    ADVICE = "advice"  # it works; it will not always


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing: its entry in the runbook, what it is, why it matters, and how to fix it."""

    check: str
    what: str
    why: str
    fix: str
    level: Level = Level.PROBLEM
