"""Send traffic as Meta would: signed, repeated, out of order.

Promises: the same options make the same bodies; whatever gets no 200 is posted again.
Relies on: a receiver at a URL, and its app secret.
Cannot see: what becomes of a body after its 200.
"""

from app.dev.simulator.sender import NO_ANSWER, OK, Answer, PostAddress, Sender, Try, progress_bar
from app.dev.simulator.traffic import Fate, Options, PlannedEvent, expected_events, plan

__all__ = [
    "NO_ANSWER",
    "OK",
    "Answer",
    "Fate",
    "Options",
    "PlannedEvent",
    "PostAddress",
    "Sender",
    "Try",
    "expected_events",
    "plan",
    "progress_bar",
]
