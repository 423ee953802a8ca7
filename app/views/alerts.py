"""The alerts that are raised, as people see them."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

RAISED = text(
    "SELECT name, raised_at AS since, value, threshold, text FROM alerts WHERE raised ORDER BY name"
)


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """``value`` and ``threshold`` are those of the moment at which it was raised."""

    name: str
    since: datetime
    value: float | None
    threshold: float | None
    text: str


def raised(connection: Connection) -> list[RaisedAlert]:
    """Return the alerts that Postgres keeps as raised, by name."""
    return [RaisedAlert(**row) for row in connection.execute(RAISED).mappings()]
