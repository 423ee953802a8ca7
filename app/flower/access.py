"""Who a request is from, and whether that user may change anything.

Relies on Flower for the login itself: a name here says who somebody claims to be, and Flower's own check is what
lets them in.
"""

from base64 import b64decode
from typing import Any

from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from config.settings import Settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
COOKIE_DAYS = 31

NO_LOGIN = "changes need a login: start Flower with FLOWER_BASIC_AUTH or --auth"
READ_ONLY_USER = "you may look, and change nothing (FLOWER_READ_ONLY_USERS)"
READ_ONLY_FLOWER = "this Flower is read-only (--read_only)"


def user_of(application: Any, request: HTTPServerRequest) -> str | None:
    """The user's name (basic auth) or mail address (OAuth); None where neither is configured or given."""
    options = application.options
    if options.auth:
        cookie = request.cookies.get("user")
        secret = application.settings["cookie_secret"]
        found = decode_signed_value(secret, "user", cookie.value, COOKIE_DAYS) if cookie else None
        return found.decode() if found else None
    if options.basic_auth:
        return _basic_user(request.headers.get("Authorization", ""))
    return None


def _basic_user(header: str) -> str | None:
    scheme, _, credentials = header.partition(" ")
    if scheme != "Basic":
        return None
    try:
        return b64decode(credentials).decode().partition(":")[0]
    except ValueError:
        return None


def has_login(options: Any) -> bool:
    """Whether Flower asks who somebody is."""
    return bool(options.basic_auth or options.auth)


def refusal(options: Any, settings: Settings, user: str | None) -> str | None:
    """Why this user may change nothing; None: they may."""
    if not has_login(options):
        return NO_LOGIN
    if options.read_only:
        return READ_ONLY_FLOWER
    if user is None or user in settings.flower_read_only_users:
        return READ_ONLY_USER
    return None
