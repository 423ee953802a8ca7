"""What requests that decide about events have in common: which events, and what came of it."""

from typing import Any

from sqlalchemy import Connection

from app.dead_letters import ActionResult
from app.flower import parameters
from app.views import Filter, Listing

PART = 500  # events of one part of a decision about all that match


def chosen(connection: Connection, listing: Listing, body: dict[str, Any]) -> tuple[list[int], int | None]:
    """Return the ids that a request names, or of the next part of what matches; and its last lane, None at the end.

    ``body``: {"ids"} or {"filter", "until", "after_lane"}, else BadRequest.
    """
    if ("ids" in body) == ("filter" in body):
        raise parameters.BadRequest("give ids, or a filter")
    if "ids" in body:
        return parameters.event_ids(body["ids"]), None
    filter_ = parameters.wanted(body["filter"])
    until = parameters.moment("until", body.get("until"))
    if filter_.before is None or until < filter_.before:  # not those that fail again meanwhile
        filter_ = Filter(**{**filter_.given(), "before": until})
    after_lane = parameters.whole("after_lane", body.get("after_lane", 0))
    return listing.whole_lanes(connection, filter_, after_lane, PART)


def as_json(result: ActionResult) -> dict[str, Any]:
    """The members of an answer that say which events were changed and why others were not."""
    return {
        "changed": result.changed,
        "refused": [{"id": id_, "why": why} for id_, why in result.refused.items()],
    }
