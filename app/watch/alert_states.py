"""Keep the state of each alert in Postgres; of several watchers, one makes a change."""

from typing import Any

from sqlalchemy import Connection, text

from app.watch.conditions import Action, AlertChange, AlertState

SEEN_SECONDS = 15.0  # three looks of a timer

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
SEEN = text("UPDATE alerts SET seen_at = clock_timestamp() WHERE name = :name AND raised")
CLEAR_UNSEEN = text("""
UPDATE alerts SET
  raised = false, cleared_at = clock_timestamp(), suspected_at = NULL, notified_at = NULL,
  notify_after = NULL, value = :value, threshold = :threshold, text = :text
WHERE name = :name AND raised
  AND (seen_at IS NULL OR seen_at < clock_timestamp() - make_interval(secs => :seen_seconds))
""")
MARK_SENT_ELSEWHERE = text("""
UPDATE alerts SET notified_at = clock_timestamp() WHERE name = :name AND raised AND notified_at IS NULL
""")
STATES = text("SELECT name, raised, suspected_at, clock_timestamp() AS now FROM alerts")


def read_states(connection: Connection) -> dict[str, AlertState]:
    return {row.name: AlertState(row.raised, row.suspected_at) for row in connection.execute(STATES)}


def apply(connection: Connection, change: AlertChange) -> bool:
    """Write a change down; False: another watch was first."""
    return connection.execute(APPLY[change.action], _parameters(change)).rowcount == 1


def raise_seen(connection: Connection, change: AlertChange, sent: bool) -> bool:
    """Raise an alert, and say that its condition is met now; False: it was raised before.

    ``sent``: people were notified already, while Postgres was away.
    """
    first = apply(connection, change)
    connection.execute(SEEN, {"name": change.name.value})
    if sent:
        connection.execute(MARK_SENT_ELSEWHERE, {"name": change.name.value})
    return first


def clear_unseen(connection: Connection, change: AlertChange) -> bool:
    """Clear an alert, unless another process has seen its condition within SEEN_SECONDS; whether it was cleared."""
    parameters = {**_parameters(change), "seen_seconds": SEEN_SECONDS}
    return connection.execute(CLEAR_UNSEEN, parameters).rowcount == 1


def _parameters(change: AlertChange) -> dict[str, Any]:
    return {
        "name": change.name.value,
        "value": change.value,
        "threshold": change.threshold,
        "text": change.text,
    }
