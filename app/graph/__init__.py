"""Meta's Graph API, as far as messages go: what it takes, how it is asked, what its answers and codes mean.

Promises: an answer is ``Accepted``, ``NotSent`` (surely) or ``Unknown``, and never guessed.
Relies on: Meta's documented codes (``codes``) and limits (``messages``).
Cannot see: whether a message that was not answered for was sent.
"""

from app.graph import codes, messages
from app.graph.answers import Accepted, Answer, NotSent, Unknown, read
from app.graph.app_facts import Account, AppFacts, Number, SubscribedApp, Subscription, ask
from app.graph.client import NoToken, post, signal, throughput_level, token_for
from app.graph.codes import SENT_AGAIN_AFTER_FAILED, Remedy, remedy_for
from app.graph.connection import GraphSetting, apply, plan
from app.graph.double import answered_by
from app.graph.management import GraphRefusal
from app.graph.media import MediaGone, MediaRefused, MediaTooLarge, download
from app.graph.messages import InvalidMessage, Message

__all__ = [
    "SENT_AGAIN_AFTER_FAILED",
    "Accepted",
    "Account",
    "Answer",
    "AppFacts",
    "GraphRefusal",
    "GraphSetting",
    "InvalidMessage",
    "MediaGone",
    "MediaRefused",
    "MediaTooLarge",
    "Message",
    "NoToken",
    "NotSent",
    "Number",
    "Remedy",
    "SubscribedApp",
    "Subscription",
    "Unknown",
    "answered_by",
    "apply",
    "ask",
    "codes",
    "download",
    "messages",
    "plan",
    "post",
    "read",
    "remedy_for",
    "signal",
    "throughput_level",
    "token_for",
]
