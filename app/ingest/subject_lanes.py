"""Give what belongs to no conversation a lane of its subject (a template, a number, an account): so it runs in order.

A lane's number is computed from its subject: nobody has to look it up, and two ingests never choose differently. Where
two subjects get the same number, they share a lane, and are in order too.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from app.ingest.rows import NewEvent
from app.stores import Prepared

SUBJECTS_FROM = 500_000_000_000_000  # no counted number comes so far; urgent lanes begin at twice that
HEX_DIGITS = 12  # of a subject's digest: 48 bits, which stay below the urgent lanes

# As if each were its own conversation. In the order of the numbers, so that two transactions never deadlock
ADD_LANES = """
PREPARE add_subject_lanes (bigint[]) AS
INSERT INTO lanes (id, conversation_id, lane_name_id) SELECT id, id, 1 FROM unnest($1) AS id ORDER BY id
ON CONFLICT DO NOTHING
"""


def find_lanes(connection: Connection, rows: Iterable[NewEvent]) -> None:
    """Give each row that has a subject, and no conversation, its lane.

    Costs a round trip where there is such a row, and none elsewhere.
    """
    found: set[int] = set()
    for row in rows:
        if not row.event.aliases and row.event.subject is not None:
            row.lane = SUBJECTS_FROM + int(row.event.subject[:HEX_DIGITS], 16)
            found.add(row.lane)
    if found:
        Prepared(connection).rows(ADD_LANES, sorted(found))
