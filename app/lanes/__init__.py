"""Run the events of a conversation one at a time, in order.

Promises: no two workers run a lane at once; effects commit together with ``done``.
Relies on: claims in Redis to keep workers apart, and on the fencing token in Postgres where a claim fails.
Cannot see: what a handler does outside this database.
"""

from app.lanes import bursts, pauses, tally, timeouts, worker_watch
from app.lanes.claims import Claims
from app.lanes.lanes import Lanes
from app.lanes.outcome import Outcome, Step
from app.lanes.pauses import Pause

__all__ = [
    "Claims",
    "Lanes",
    "Outcome",
    "Pause",
    "Step",
    "bursts",
    "pauses",
    "tally",
    "timeouts",
    "worker_watch",
]
