"""Read what people look at: timelines, overviews, dead letters. Nothing here writes.

Promises: phone numbers, texts and message ids are masked by the functions named ``masked_...``.
Relies on: the tables, and on the journal for what is not in them yet.
Cannot see: what Redis holds while it is away; a view then leaves that out.
"""

from app.views import dead_letters, decided, lane_events, overview, timeline
from app.views.dead_letters import SORTED_BY, DeadLetter, Filter, Order, Row, content, find
from app.views.lane_events import LaneEvent
from app.views.masked import masked_conversation, masked_id, masked_payload, masked_text
from app.views.overview import SPANS, Held
from app.views.timeline import Timeline

__all__ = [
    "SORTED_BY",
    "SPANS",
    "DeadLetter",
    "Filter",
    "Held",
    "LaneEvent",
    "Order",
    "Row",
    "Timeline",
    "content",
    "dead_letters",
    "decided",
    "find",
    "lane_events",
    "masked_conversation",
    "masked_id",
    "masked_payload",
    "masked_text",
    "overview",
    "timeline",
]
