"""What a person decides about sends that are dead or unknown: send again, it was sent, drop; one by one or in bulk."""

from collections.abc import Sequence

from sqlalchemy import Engine, text

DECIDE = {
    "send_again": """
        state = 'queued', holds = true, due_at = clock_timestamp(), held_until = NULL, unknown_since = NULL,
        finished_at = NULL, error = NULL, error_code = NULL
    """,
    "was_sent": "state = 'accepted', holds = false, held_until = NULL, unknown_since = NULL, unsure = false,"
    " finished_at = clock_timestamp()",
    "drop": "state = 'dropped', holds = false, held_until = NULL, unknown_since = NULL,"
    " finished_at = clock_timestamp()",
}


def decide(engine: Engine, action: str, ids: Sequence[int], who: str, reason: str | None = None) -> list[int]:
    """Apply a decision to sends that are dead or unknown, and keep who made it; return those that it changed."""
    statement = text(f"""
    WITH decided AS (
      UPDATE sends SET {DECIDE[action]} WHERE id = ANY(:ids) AND state IN ('dead', 'unknown') RETURNING id
    )
    INSERT INTO send_actions (send_id, action, who, reason) SELECT id, :action, :who, :reason FROM decided
    RETURNING send_id
    """)  # noqa: S608  (constants)
    with engine.begin() as connection:
        found = connection.execute(
            statement, {"ids": list(ids), "action": action, "who": who, "reason": reason}
        )
        return sorted(found.scalars())
