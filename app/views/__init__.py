"""Read what people look at: timelines, overviews, dead letters, held events. Nothing here writes.

Promises: phone numbers, texts and message ids are masked by the functions named ``masked_...``.
Relies on: the tables, and on the journal for what is not in them yet.
Cannot see: what Redis holds while it is away; a view then leaves that out.
"""

from app.views import dead_letters, decided, held, lane_events, overview, sends, timeline
from app.views.dead_letters import SORTED_BY, DeadLetter, Order, Row, content, find
from app.views.filter import Filter
from app.views.held import Held
from app.views.lane_events import LaneEvent
from app.views.listing import Listing
from app.views.masked import masked_conversation, masked_id, masked_payload, masked_text
from app.views.overview import SPANS
from app.views.sends import NEED_A_DECISION, Send, SendFilter
from app.views.timeline import Timeline

__all__ = [
    "NEED_A_DECISION",
    "SORTED_BY",
    "SPANS",
    "DeadLetter",
    "Filter",
    "Held",
    "LaneEvent",
    "Listing",
    "Order",
    "Row",
    "Send",
    "SendFilter",
    "Timeline",
    "content",
    "dead_letters",
    "decided",
    "find",
    "held",
    "lane_events",
    "masked_conversation",
    "masked_id",
    "masked_payload",
    "masked_text",
    "overview",
    "sends",
    "timeline",
]
