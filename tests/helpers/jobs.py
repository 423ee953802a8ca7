"""Events that have one job or outcome each, straight in the tables."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert

from app.stores.job_models import MAIN_LANE_NAME, JobRow, OutcomeRow
from app.stores.models import EventRow, JobState

FACTS = ("key", "delivery_id", "position", "lane", "occurred_at", "accepted_at", "kind", "type", "payload")
PLACE = ("lane", "occurred_at", "delivery_id", "position")


def insert_events(connection: Connection, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Insert events, each with a job or an outcome: what a row says beside the event; return their ids.

    All rows have the same members.
    """
    facts = [{name: row[name] for name in FACTS} for row in rows]
    returning = insert(EventRow).returning(EventRow.id, sort_by_parameter_order=True)
    ids = list(connection.execute(returning, facts).scalars())
    for id_, row in zip(ids, rows, strict=True):
        row["id"] = id_
    pending = [_job(row) for row in rows if row["state"] is JobState.PENDING]
    final = [_outcome(row) for row in rows if row["state"] is not JobState.PENDING]
    if pending:
        connection.execute(insert(JobRow), pending)
    if final:
        connection.execute(insert(OutcomeRow), final)
    return ids


def _job(row: dict[str, Any]) -> dict[str, Any]:
    members = {
        "since": row["accepted_at"],
        "handler": "",
        **{name: row[name] for name in PLACE},
        **_rest(row),
    }
    for name in ("state", "finished_at"):
        members.pop(name, None)
    return {**members, "handler": members["handler"] or ""}


def _outcome(row: dict[str, Any]) -> dict[str, Any]:
    members = {"lane": row["lane"], "finished_at": row["accepted_at"], "handler": None, **_rest(row)}
    return {**members, "finished_at": members["finished_at"] or row["accepted_at"]}


def _rest(row: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in row.items() if name not in FACTS}
    return {"event_id": row["id"], "lane_name_id": MAIN_LANE_NAME, **rest}
