"""Which of the jobs that failed: the conditions that people choose dead letters and held jobs by."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal

Order = Literal["ascending", "descending"]

# What people see of an error's class: all before the first colon
ERROR_CLASS = "split_part(e.error, ':', 1)"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs; None is any."""

    ids: Sequence[int] | None = None
    kind: str | None = None
    type: str | None = None
    handler: str | None = None
    error: str | None = None  # a part of the error's class or text
    conversation: str | None = None  # any of its names, a phone number or user id alone, or its number
    before: datetime | None = None  # failed before
    after: datetime | None = None  # failed at or after
    error_class: str | None = None
    lane: str | None = None  # name of the lanes
    search: str | None = (
        None  # an id, or a part of the key, the conversation, the error, the handler or the payload
    )

    def where(self, failed_at: str) -> tuple[str, dict[str, Any]]:
        """SQL conditions and their parameters; ``failed_at`` is the SQL expression of when a job failed."""
        given = {name: getattr(self, name) for name in CONDITIONS if getattr(self, name) is not None}
        conditions = "".join(f" AND {CONDITIONS[name].format(failed_at=failed_at)}" for name in given)
        if "ids" in given:
            given["ids"] = list(given["ids"])
        if "search" in given:
            given["escaped"] = json.dumps(given["search"])[1:-1]  # as a payload spells it
        if "conversation" in given:
            given["bare"] = _bare(given["conversation"])
        return conditions, given

    def given(self) -> dict[str, Any]:
        """The conditions that are not any, by name."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) is not None
        }


CONDITIONS = {
    "ids": "e.id = ANY(:ids)",
    "kind": "e.kind = :kind",
    "type": "e.type = :type",
    "handler": "e.handler = :handler",
    "lane": "e.lane_name_id = (SELECT id FROM lane_names WHERE name = :lane)",
    "error": "strpos(lower(e.error), lower(:error)) > 0",
    "conversation": """
        (c.key = :conversation OR CAST(e.conversation_id AS text) = :conversation
         OR e.conversation_id IN (SELECT conversation_id FROM conversation_aliases WHERE key = :conversation
                       OR (:bare <> '' AND right(key, length(:bare) + 1) = '/' || :bare)))""",
    "before": "{failed_at} < :before",
    "after": "{failed_at} >= :after",
    "error_class": f"{ERROR_CLASS} = :error_class",
    "search": """
        (CAST(e.id AS text) = :search OR strpos(lower(e.key), lower(:search)) > 0
         OR strpos(lower(e.error), lower(:search)) > 0 OR strpos(lower(e.handler), lower(:search)) > 0
         OR strpos(lower(c.key), lower(:search)) > 0 OR strpos(lower(e.payload), lower(:escaped)) > 0)""",
}


def _bare(conversation: str) -> str:
    """A phone number or user id that somebody typed without the business's number before it; "" is none."""
    return "" if "/" in conversation else conversation.removeprefix("+").replace(" ", "")
