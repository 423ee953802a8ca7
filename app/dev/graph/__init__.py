"""A Graph API that behaves like Meta's, for tests, ``neverdrop up`` and a person who chats with the bot.

Promises: takes every message that Meta takes, refuses what Meta refuses, and reports statuses to the webhook.
Relies on: the webhook's address and app secret.
Cannot see: whether Meta has changed since its documentation of 2026-11.
"""

from app.dev.graph import bodies, rules
from app.dev.graph.app_setup import MISCONFIGURATIONS, NUMBER, AppSetup
from app.dev.graph.chats import LADDER, ChatMessage, Chats
from app.dev.graph.faults import Faults
from app.dev.graph.server import PORT, application
from app.dev.graph.stand_in import StandIn
from app.dev.graph.webhooks import Webhooks

__all__ = [
    "LADDER",
    "MISCONFIGURATIONS",
    "NUMBER",
    "PORT",
    "AppSetup",
    "ChatMessage",
    "Chats",
    "Faults",
    "StandIn",
    "Webhooks",
    "application",
    "bodies",
    "rules",
]
