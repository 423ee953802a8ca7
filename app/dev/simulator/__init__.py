"""Send traffic as Meta would: signed, repeated, out of order.

Promises: the same options make the same bodies; whatever gets no 200 is posted again.
Relies on: a receiver at a URL, and its app secret.
Cannot see: what becomes of a body after its 200.
"""

from app.dev.simulator.sender import Answer, Sender, Target, progress_bar
from app.dev.simulator.traffic import Fate, Options, PlannedEvent, expected_events, plan
from app.dev.simulator.traffic_items import STATUSES

__all__ = [
    "STATUSES",
    "Answer",
    "Fate",
    "Options",
    "PlannedEvent",
    "Sender",
    "Target",
    "expected_events",
    "plan",
    "progress_bar",
]
