"""How every command shows a time. Pure: no I/O."""

from datetime import UTC, datetime


def iso(moment: datetime, timespec: str = "seconds") -> str:
    """Return a time as ISO 8601 in UTC, such as 2026-01-31T12:00:00Z."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
