"""Read what people look at: timelines, overviews, conversations, dead letters, held events. Nothing here writes.

Promises: phone numbers, texts and message ids are masked by the functions named ``masked_...``.
Relies on: the tables, and on the journal for what is not in them yet.
Cannot see: what Redis holds while it is away; a view then leaves that out.
"""

from app.views import (
    alerts,
    conversations,
    dead_letters,
    decided,
    held,
    lane_events,
    overview,
    replays,
    sends,
    timeline,
)
from app.views.alerts import RaisedAlert
from app.views.chat import BOT, Said, said, said_in
from app.views.conversations import FoundConversation
from app.views.dead_letters import SORTED_BY, DeadLetter, Row, content, find
from app.views.dialogs import DialogView, dialogs_of
from app.views.filter import Filter, Order
from app.views.held import Held
from app.views.lane_events import LaneEvent
from app.views.listing import Listing
from app.views.masked import QUOTING_DETAILS, masked_conversation, masked_id, masked_payload, masked_text
from app.views.overview import SPANS
from app.views.replays import SILENT_SECONDS, ShownReplay
from app.views.sends import NEED_A_DECISION, Send, SendFilter
from app.views.timeline import Timeline

__all__ = [
    "BOT",
    "NEED_A_DECISION",
    "QUOTING_DETAILS",
    "SILENT_SECONDS",
    "SORTED_BY",
    "SPANS",
    "DeadLetter",
    "DialogView",
    "Filter",
    "FoundConversation",
    "Held",
    "LaneEvent",
    "Listing",
    "Order",
    "RaisedAlert",
    "Row",
    "Said",
    "Send",
    "SendFilter",
    "ShownReplay",
    "Timeline",
    "alerts",
    "content",
    "conversations",
    "dead_letters",
    "decided",
    "dialogs_of",
    "find",
    "held",
    "lane_events",
    "masked_conversation",
    "masked_id",
    "masked_payload",
    "masked_text",
    "overview",
    "replays",
    "said",
    "said_in",
    "sends",
    "timeline",
]
