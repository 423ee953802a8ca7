"""The stand-in's HTTP server."""

from typing import Any

from tornado import web

from app.dev.graph.chat_page import ChatApi, ChatPage
from app.dev.graph.endpoints import MediaFile, Messages, NumberOrMedia
from app.dev.graph.management import DebugToken, PhoneNumbers, SubscribedApps, Subscriptions
from app.dev.graph.stand_in import StandIn

PORT = 8001
ROUTES: list[Any] = [
    (r"/v\d+\.\d+/(\d+)/messages", Messages),
    (r"/v\d+\.\d+/debug_token", DebugToken),
    (r"/v\d+\.\d+/(\d+)/subscriptions", Subscriptions),
    (r"/v\d+\.\d+/(\d+)/subscribed_apps", SubscribedApps),
    (r"/v\d+\.\d+/(\d+)/phone_numbers", PhoneNumbers),
    (r"/v\d+\.\d+/(\d+)", NumberOrMedia),
    (r"/media/(\d+)", MediaFile),
    (r"/", ChatPage),
    (r"/chat/(messages|send|faults)", ChatApi),
]


def application(stand_in: StandIn) -> web.Application:
    """Return what a tornado server serves."""
    return web.Application([(path, handler, {"stand_in": stand_in}) for path, handler in ROUTES])
