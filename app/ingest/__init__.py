"""Turn stored bodies into rows: deliveries, events, conversations, message statuses.

Promises: a body's rows are committed together, and an event is accepted once.
Relies on: the journal, or the fallback store, keeping a body until its rows are committed.
Cannot see: a body that never left the journal; ``recovery`` finds that.
"""

from app.ingest.conversations import new_lanes
from app.ingest.lane_names import lanes_of, name_ids
from app.ingest.queue import MAX_REQUEUES, dedupe, drain, incoming, is_bulk, put_back
from app.ingest.rows import Incoming
from app.ingest.store import give_up, ingest

__all__ = [
    "MAX_REQUEUES",
    "Incoming",
    "dedupe",
    "drain",
    "give_up",
    "incoming",
    "ingest",
    "is_bulk",
    "lanes_of",
    "name_ids",
    "new_lanes",
    "put_back",
]
