"""Which events are replayed, and to which handlers."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from app.handlers import ANSWER, Handler, Registry
from app.stores import Priority

# What is dead keeps its own retry, and what waits will run: such an event gets no second job in that lane name
EVENTS = text("""
SELECT e.id, e.kind, e.type, e.payload, e.lane, EXISTS (SELECT FROM lanes l WHERE l.id = e.lane) AS named,
  ARRAY(SELECT n.name FROM jobs j JOIN lane_names n ON n.id = j.lane_name_id WHERE j.event_id = e.id)
  || ARRAY(SELECT n.name FROM outcomes o JOIN lane_names n ON n.id = o.lane_name_id
           WHERE o.event_id = e.id AND o.state = 'dead') AS busy,
  ARRAY(SELECT n.name FROM outcomes o JOIN lane_names n ON n.id = o.lane_name_id
        WHERE o.event_id = e.id AND o.state <> 'unhandled') AS handled,
  ARRAY(SELECT o.handler FROM outcomes o WHERE o.event_id = e.id AND o.state = 'done') AS ran
FROM events e WHERE e.id = ANY(:ids)
ORDER BY e.occurred_at, e.delivery_id, e.position
""")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which events, and which of their handlers; None is any."""

    since: datetime | None = None  # accepted at or after
    until: datetime | None = None  # accepted before
    kind: str | None = None
    type: str | None = None
    conversation: int | None = None
    lane: str | None = None  # name of the lanes
    handler: str | None = None
    unhandled: bool = False  # only what the handler's lane name never had a job for

    def as_json(self) -> str:
        """The conditions that are not any, to be kept."""
        return json.dumps({name: value for name, value in asdict(self).items() if value}, default=str)


@dataclass(frozen=True, slots=True)
class Pair:
    """An event and a handler that is to run it again."""

    event_id: int
    lane: int  # of the event: its conversation, or a number of its own
    named: bool  # whether it belongs to a conversation
    handler: Handler
    lane_name: str
    priority: Priority


def chosen(connection: Connection, choice: Choice) -> list[int]:
    """Return the ids of the events that match, in the order in which their jobs are to be made.

    Bodies that cannot be read are no events for handlers, and a timeout was for one moment.
    """
    conditions, parameters = ["e.type <> 'unreadable'", "e.kind <> 'timeout'"], {}
    for name, condition in CONDITIONS.items():
        if (value := getattr(choice, name)) is not None:
            conditions.append(condition)
            parameters[name] = first_id(value) if isinstance(value, datetime) else value
    statement = f"""
SELECT e.id FROM events e WHERE {" AND ".join(conditions)}
ORDER BY e.occurred_at, e.delivery_id, e.position
"""  # noqa: S608  (constants)
    return list(connection.execute(text(statement), parameters).scalars())


# A delivery's id begins with the time of its acceptance: so times are found by an index
CONDITIONS = {
    "since": "e.delivery_id >= :since",
    "until": "e.delivery_id < :until",
    "kind": "e.kind = :kind",
    "type": "e.type = :type",
    "conversation": "e.lane = :conversation",
}


def first_id(moment: datetime) -> UUID:
    """Return the least id that a delivery accepted at a moment may have."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)


def pairs(connection: Connection, registry: Registry, choice: Choice, ids: Sequence[int]) -> list[Pair]:
    """Return the handlers that the events have today and that the choice names, without those that are busy."""
    rows = connection.execute(EVENTS, {"ids": list(ids)})
    return [
        Pair(
            row.id,
            row.lane,
            row.named,
            handler,
            handler.lane_name_for(row.kind, row.type),
            handler.priority_for(row.kind, row.type),
        )
        for row in rows
        for handler in _handlers(registry, row)
        if _wanted(choice, handler, row)
    ]


def _handlers(registry: Registry, row: Any) -> list[Handler]:
    """Return the event's handlers; in a lane name in which it was an answer, the handler of that answer."""
    answers = {
        handler.lane: handler
        for (kind, _, _), handler in registry.items()
        if kind == ANSWER and any(handler.answers_to(name) for name in row.ran)
    }
    found = registry.find_all(row.kind, row.type, registry.origin_of(row.payload))
    others = [each for each in found if each.lane not in answers]
    return [*answers.values(), *others]


def _wanted(choice: Choice, handler: Handler, row: Any) -> bool:
    if choice.lane not in (None, handler.lane) or handler.lane in _lanes(row.busy):
        return False
    if choice.handler is not None and not handler.answers_to(choice.handler):
        return False
    return not (choice.unhandled and handler.lane in _lanes(row.handled))


def _lanes(names: Sequence[str]) -> set[str]:
    """Return lane names as handlers give them, whatever the priority: that may be another in this release."""
    return {name.partition("/")[0] for name in names}
