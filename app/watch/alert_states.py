"""Keep the state of each alert in Postgres; of several watchers, one makes a change."""

from datetime import datetime

from sqlalchemy import Connection, text

from app.watch.conditions import Action, AlertChange, AlertState

# Each changes a row only from the state it expects, so that only one of several watchers sends.
APPLY = {
    Action.RAISE: text("""
        INSERT INTO alerts AS known (name, raised, raised_at, value, threshold, text)
        VALUES (:name, true, clock_timestamp(), :value, :threshold, :text)
        ON CONFLICT (name) DO UPDATE SET
          raised = true, raised_at = excluded.raised_at, suspected_at = NULL, notified_at = NULL,
          notify_after = NULL, value = excluded.value, threshold = excluded.threshold, text = excluded.text
        WHERE NOT known.raised
    """),
    Action.CLEAR: text("""
        UPDATE alerts SET
          raised = false, cleared_at = clock_timestamp(), suspected_at = NULL, notified_at = NULL,
          notify_after = NULL, value = :value, threshold = :threshold, text = :text
        WHERE name = :name AND raised
    """),
    Action.MARK_PENDING: text("""
        INSERT INTO alerts AS known (name, suspected_at) VALUES (:name, clock_timestamp())
        ON CONFLICT (name) DO UPDATE SET suspected_at = excluded.suspected_at
        WHERE NOT known.raised AND known.suspected_at IS NULL
    """),
    Action.CANCEL_PENDING: text("UPDATE alerts SET suspected_at = NULL WHERE name = :name AND NOT raised"),
}
STATES = text("SELECT name, raised, suspected_at, clock_timestamp() AS now FROM alerts")
NOW = text("SELECT clock_timestamp()")


def read_states(connection: Connection) -> dict[str, AlertState]:
    return {row.name: AlertState(row.raised, row.suspected_at) for row in connection.execute(STATES)}


def apply(connection: Connection, change: AlertChange) -> bool:
    """Write a change down; False: another watch was first."""
    parameters = {
        "name": change.name.value,
        "value": change.value,
        "threshold": change.threshold,
        "text": change.text,
    }
    return connection.execute(APPLY[change.action], parameters).rowcount == 1


def now(connection: Connection) -> datetime:
    """Return Postgres's clock, by which states are dated."""
    moment: datetime = connection.execute(NOW).scalar_one()
    return moment
