"""Find the lanes of new jobs: one for each conversation and lane name.

The lane ``main`` of a conversation has the conversation's own number. Others are made when they are first needed, and
so are lane names.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from app.handlers import MAIN_LANE, TARGET_LANE
from app.ingest import conversations
from app.ingest.rows import NewEvent
from app.stores import FIRST_NUMBERS, MAIN_LANE_NAME, Prepared, Priority

KNOWN_NAMES = """
PREPARE known_lane_names (text[]) AS SELECT name, id FROM lane_names WHERE name = ANY($1)
"""
# Those of targets have numbers below zero: so workers, sweeps and indexes know them wherever a job is
ADD_NAMES = f"""
PREPARE add_lane_names (text[]) AS
INSERT INTO lane_names (id, name)
SELECT nextval(pg_get_serial_sequence('lane_names', 'id')) * CASE WHEN starts_with(name, '{TARGET_LANE}') THEN -1
       ELSE 1 END, name
FROM unnest($1) AS name
ON CONFLICT (name) DO NOTHING
"""  # noqa: S608  (a constant)
KNOWN_LANES = """
PREPARE known_lanes (bigint[], smallint[]) AS
SELECT l.conversation_id, l.lane_name_id, l.id
FROM unnest($1, $2) AS asked (conversation_id, lane_name_id)
JOIN lanes l USING (conversation_id, lane_name_id)
WHERE l.merged_into IS NULL
"""
# The lock keeps the conversation from being merged: the lane would stay behind, and another be made beside it
LOCK_CONVERSATIONS = """
PREPARE lock_conversations (bigint[]) AS
SELECT c.id, coalesce(c.merged_into, c.id) FROM conversations c WHERE c.id = ANY($1) ORDER BY c.id FOR SHARE
"""
ADD_LANES = """
PREPARE add_lanes (bigint[], smallint[], bigint[]) AS
INSERT INTO lanes (id, conversation_id, lane_name_id)
SELECT nextval('lane_ids') + first_number, conversation_id, lane_name_id
FROM (SELECT * FROM unnest($1, $2, $3) AS a (conversation_id, lane_name_id, first_number) ORDER BY 1, 2) AS asked
ON CONFLICT DO NOTHING
"""
NAMES_BY_ID = """
PREPARE lane_names_by_id (smallint[]) AS SELECT id, name FROM lane_names WHERE id = ANY($1)
"""


def find_lanes(connection: Connection, rows: Sequence[NewEvent]) -> dict[str, int]:
    """Give each job its lane; return the number of each lane name.

    Costs further round trips where a handler has another lane name than ``main``, and none elsewhere.
    """
    for row in rows:
        for job in row.jobs:
            job.lane = row.lane
    others = [(row, job) for row in rows for job in row.jobs if job.lane_name != MAIN_LANE]
    if not others:
        return {MAIN_LANE: MAIN_LANE_NAME}
    ids = name_ids(connection, {job.lane_name for _, job in others})
    named = [(row, job) for row, job in others if row.is_ordered]
    lanes = lanes_of(connection, {(row.lane, ids[job.lane_name]) for row, job in named})
    for row, job in named:
        job.lane = lanes[row.lane, ids[job.lane_name]]
    # The others: each is alone in its lane, and only its first normal job has the event's own
    alone = [
        job
        for row, job in others
        if not row.is_ordered and (job is not row.jobs[0] or job.priority is not Priority.NORMAL)
    ]
    for job, lane in zip(alone, conversations.new_lanes(connection, len(alone)), strict=True):
        job.lane = FIRST_NUMBERS[job.priority] + lane
    return ids


def name_ids(connection: Connection, names: Iterable[str]) -> dict[str, int]:
    """Return the number of each lane name; add those that are new. ``main`` is always among them."""
    asked = sorted({*names} - {MAIN_LANE})
    known: dict[str, int] = dict(Prepared(connection).rows(KNOWN_NAMES, asked))
    if missing := [name for name in asked if name not in known]:
        Prepared(connection).rows(ADD_NAMES, missing)
        known = dict(Prepared(connection).rows(KNOWN_NAMES, asked))
    return {MAIN_LANE: MAIN_LANE_NAME, **known}


def lanes_of(connection: Connection, asked: Iterable[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return the lane of each (conversation, number of a lane name); add those that are new."""
    pairs = sorted(set(asked))
    known = _known_lanes(connection, pairs)
    missing = [pair for pair in pairs if pair not in known]
    if not missing:
        return known
    roots: dict[int, int] = dict(
        Prepared(connection).rows(LOCK_CONVERSATIONS, sorted({conversation for conversation, _ in missing}))
    )
    moved = {pair: (roots.get(pair[0], pair[0]), pair[1]) for pair in missing}
    added = sorted(set(moved.values()))
    first = _first_numbers(connection, {name for _, name in added})
    columns = [list(column) for column in zip(*added, strict=True)]
    Prepared(connection).rows(ADD_LANES, *columns, [first[name] for _, name in added])
    found = _known_lanes(connection, added)
    return known | {pair: found[root] for pair, root in moved.items()}


def _first_numbers(connection: Connection, ids: Iterable[int]) -> dict[int, int]:
    """Return where the numbers of the lanes of a name begin, which says how urgent they are."""
    names = Prepared(connection).rows(NAMES_BY_ID, sorted(ids))
    return {id_: FIRST_NUMBERS[Priority(name.partition("/")[2] or Priority.NORMAL)] for id_, name in names}


def _known_lanes(connection: Connection, pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    if not pairs:
        return {}
    rows = Prepared(connection).rows(KNOWN_LANES, [pair[0] for pair in pairs], [pair[1] for pair in pairs])
    return {(conversation, name): lane for conversation, name, lane in rows}
