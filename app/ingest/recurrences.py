"""Distinguish a state that came back from a duplicate of its first event.

What has no id of its own (a phone number's quality, a template's approval) is known by its content. The same content
is a repeat as long as Meta may repeat it, unless another state of the same subject came in between: then it is an
event of its own, with Meta's time in its key.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from app.ingest.rows import NewEvent
from app.stores import Prepared, recordset
from config.settings_checks import MIN_RETENTION_DAYS

REPEATED_FOR = timedelta(days=MIN_RETENTION_DAYS)

# One transaction at a time decides about a subject. In the order of the locks, so that two never deadlock
LOCK_SUBJECTS = """
PREPARE lock_subjects (text[]) AS
SELECT pg_advisory_xact_lock(lock) FROM (
  SELECT DISTINCT hashtextextended(subject, 0) AS lock FROM unnest($1) AS subject ORDER BY 1 OFFSET 0
) AS locks
"""
KNOWN_STATES = """
PREPARE known_states (text[], timestamptz, timestamptz) AS
SELECT subject, said_at, content_key, dated, event_key, accepted_at FROM subject_states
WHERE subject = ANY($1) AND said_at BETWEEN $2 AND $3
"""
EVENTS_OF_KEYS = """
PREPARE events_of_states (text[]) AS SELECT key, accepted_at FROM events WHERE key = ANY($1)
"""
SPLIT_DELIVERIES = """
PREPARE split_deliveries (text[]) AS
SELECT id FROM deliveries WHERE id = ANY(CAST($1 AS uuid[])) AND state = 'split'
"""
ADD_STATES = """
PREPARE add_states (json) AS
INSERT INTO subject_states (subject, said_at, content_key, dated, event_key, accepted_at)
SELECT subject, said_at, content_key, dated, event_key, accepted_at
FROM json_to_recordset($1) AS incoming (
  subject text, said_at timestamptz, content_key text, dated boolean, event_key text, accepted_at timestamptz)
ON CONFLICT DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class State:
    """What Meta told about a subject at a time."""

    subject: str
    said_at: datetime  # entry.time, or the acceptance where there is none
    content_key: str
    dated: bool  # said_at is Meta's
    event_key: str
    accepted_at: datetime


def find_keys(connection: Connection, rows: Sequence[NewEvent]) -> None:
    """Give each row without ids the key of the event that it repeats, or of a new one.

    Costs three round trips where there is such a row, and none elsewhere.
    """
    stateful = [row for row in rows if row.event.may_recur]
    if not stateful:
        return
    prepared = Prepared(connection)
    prepared.rows(LOCK_SUBJECTS, sorted({str(row.event.subject) for row in stateful}))
    known = _known_states(prepared, stateful)
    split = {
        str(id_) for (id_,) in prepared.rows(SPLIT_DELIVERIES, sorted({str(r.delivery.id) for r in stateful}))
    }
    taken = dict(prepared.rows(EVENTS_OF_KEYS, sorted({row.event.key for row in stateful})))
    added = []
    for row in stateful:
        state = _state_of(row)
        states = known.setdefault(state.subject, [])
        if row.event.key in taken and not any(each.event_key == row.event.key for each in states):
            # It was accepted before states were kept, or its state is purged
            accepted_at = taken[row.event.key]
            states.append(State(state.subject, accepted_at, row.event.key, False, row.event.key, accepted_at))
        repeated = repeated_event(state, states, ingested=str(row.delivery.id) in split)
        if repeated is not None:
            row.key = repeated
            continue
        if row.event.key in taken:
            row.key = f"{row.event.key}@{int(state.said_at.timestamp())}"
        taken.setdefault(row.event.key, row.accepted_at)
        new = State(state.subject, state.said_at, state.content_key, state.dated, row.key, row.accepted_at)
        states.append(new)
        added.append(new)
    if added:
        ordered = sorted(added, key=lambda state: (state.subject, state.said_at, state.content_key))
        prepared.rows(ADD_STATES, recordset([asdict(state) for state in ordered]))


def repeated_event(state: State, known: Iterable[State], *, ingested: bool = False) -> str | None:
    """Return the key of the event that a state repeats; None if it is a new one. Pure: no I/O.

    ``ingested``: its delivery was ingested before, so that it is a repeat whatever came since.
    """
    states = list(known)
    alike = [
        each
        for each in states
        if each.content_key == state.content_key and abs(each.said_at - state.said_at) <= REPEATED_FOR
    ]
    for each in sorted(alike, key=lambda each: abs(each.said_at - state.said_at)):
        if ingested or not _other_between(state, each, states):
            return each.event_key
    return None


def _other_between(one: State, other: State, states: Iterable[State]) -> bool:
    """Return whether the subject was in another state between two times that Meta gave."""
    if not (one.dated and other.dated):
        return False
    first, last = sorted((one.said_at, other.said_at))
    return any(
        each.dated and each.content_key != one.content_key and first < each.said_at < last for each in states
    )


def _known_states(prepared: Prepared, rows: Sequence[NewEvent]) -> dict[str, list[State]]:
    times = [_stated_at(row) for row in rows]
    subjects = sorted({str(row.event.subject) for row in rows})
    known: dict[str, list[State]] = {}
    for found in prepared.rows(KNOWN_STATES, subjects, min(times) - REPEATED_FOR, max(times) + REPEATED_FOR):
        state = State(*found)
        known.setdefault(state.subject, []).append(state)
    return known


def _state_of(row: NewEvent) -> State:
    dated = row.event.entry_time is not None
    return State(
        str(row.event.subject), _stated_at(row), row.event.key, dated, row.event.key, row.accepted_at
    )


def _stated_at(row: NewEvent) -> datetime:
    seconds = row.event.entry_time
    return row.accepted_at if seconds is None else datetime.fromtimestamp(seconds, UTC)
