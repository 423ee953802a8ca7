"""Who a request is from, and what that user may do. The only reader of credentials in Flower's process.

One credential is one header ``Authorization: Basic`` with one space and strict base64. Whatever else two readers could
take for two users is nobody.
"""

from base64 import b64decode
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any

from flower.utils.authentication import authenticate
from tornado.httputil import HTTPServerRequest
from tornado.web import decode_signed_value

from config.flower_roles import Role, roles_of
from config.settings import Settings

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
COOKIE_DAYS = 31
SCHEME = "Basic "
MAX_CREDENTIAL = 2_000  # characters of base64

NO_LOGIN = "changes need a login: start Flower with FLOWER_BASIC_AUTH or --auth"
READ_ONLY_USER = "you may look, and change nothing (FLOWER_READ_ONLY_USERS)"
READ_ONLY_FLOWER = "this Flower is read-only (--read_only)"


@dataclass(frozen=True)
class Identity:
    """Whom the login proved. ``claimed``: a credential was given; it is wrong where ``user`` is None."""

    user: str | None = None
    claimed: bool = False


def has_login(options: Any) -> bool:
    """Whether Flower asks who somebody is."""
    return bool(options.basic_auth or options.auth)


def identify(application: Any, request: HTTPServerRequest) -> Identity:
    """Return who a request is from: a user's name (basic auth) or mail address (OAuth)."""
    options = application.options
    if options.auth:
        return _cookie_user(options.auth, application.settings["cookie_secret"], request)
    if options.basic_auth:
        return _basic_user(options.basic_auth, request.headers.get_list("Authorization"))
    return Identity()


def _cookie_user(pattern: str, secret: Any, request: HTTPServerRequest) -> Identity:
    cookie = request.cookies.get("user")
    if cookie is None or not cookie.value:
        return Identity()
    value = decode_signed_value(secret, "user", cookie.value, COOKIE_DAYS)
    try:
        address = value.decode() if value else ""
    except UnicodeDecodeError:
        address = ""
    return Identity(address if address and authenticate(pattern, address) else None, claimed=True)


def _basic_user(stored: list[str], headers: list[str]) -> Identity:
    if not headers:
        return Identity()
    credential = _decode(headers[0]) if len(headers) == 1 else None
    user = None
    for each in stored:  # all of them, so that the time tells nothing
        if credential is not None and ":" in each and compare_digest(each.encode(), credential):
            user = each.partition(":")[0]
    return Identity(user or None, claimed=True)


def _decode(header: str) -> bytes | None:
    """Return ``user:password`` as bytes; None for what is not exactly one credential."""
    encoded = header.removeprefix(SCHEME)
    if len(header) - len(encoded) != len(SCHEME) or len(encoded) > MAX_CREDENTIAL:
        return None
    try:
        return b64decode(encoded, validate=True)
    except ValueError:  # also for what is not ASCII
        return None


def refusal(options: Any, settings: Settings, user: str | None, role: Role) -> str | None:
    """Return why this user may not do what needs ``role``; None: they may."""
    if role is not Role.READ and role is not Role.REVEAL and options.read_only:
        return READ_ONLY_FLOWER
    if not has_login(options):
        return None if role is Role.READ or role is Role.REVEAL else NO_LOGIN
    if user is None:
        return "log in first"
    if role in roles_of(user, settings.flower_roles, settings.flower_read_only_users):
        return None
    if role is not Role.REVEAL and user.casefold() in map(str.casefold, settings.flower_read_only_users):
        return READ_ONLY_USER
    return f"this needs the role {role.value} (FLOWER_ROLES)"
