"""Meta's error codes: what each means, and what is done about it. Pure: no I/O.

A code decides, never the HTTP status: throttling comes as 400. A code that is in no row is judged by
``error.is_transient``. Source: Meta's "Error codes" of the Cloud API, 2026-11.
"""

from dataclasses import dataclass
from enum import StrEnum


class Remedy(StrEnum):
    """What is done about a send that Meta refused with a code."""

    AGAIN = "again"  # surely not sent; sent again with backoff
    THROTTLE = "throttle"  # as AGAIN, and everything from this number waits as well
    WAIT_PAIR = "wait pair"  # as AGAIN after 4^attempts seconds, for this user only
    STOP = "stop"  # everything from this number waits until a person or a new token resumes it
    DEAD = "dead"  # a dead letter: sending the same again cannot help


@dataclass(frozen=True, slots=True)
class Code:
    """One code, or a range of them."""

    first: int
    last: int
    meaning: str
    remedy: Remedy
    advice: str


def _one(code: int, remedy: Remedy, meaning: str, advice: str) -> Code:
    return Code(code, code, meaning, remedy, advice)


CORRECT = "correct the object that the handler sent"
CHECK_TEMPLATE = "check the template at Meta"
SEE_ACCOUNT = "see the account's page at Meta"
NEW_TOKEN = "give a new WHATSAPP_ACCESS_TOKEN"  # noqa: S105  (advice)
SEND_LESS = "wait; send less from other programs"

CODES = (
    _one(0, Remedy.STOP, "the access token could not be read", NEW_TOKEN),
    _one(1, Remedy.AGAIN, "an unknown error at Meta", "wait; look at Meta's status page if it stays"),
    _one(2, Remedy.AGAIN, "Meta is temporarily unavailable", "wait; look at Meta's status page if it stays"),
    _one(
        3,
        Remedy.STOP,
        "the app may not call this endpoint",
        "give the app the permission whatsapp_business_messaging",
    ),
    _one(4, Remedy.THROTTLE, "the app has reached its limit of calls", SEND_LESS),
    _one(
        10,
        Remedy.STOP,
        "the permission was not granted or was removed",
        "grant whatsapp_business_messaging again",
    ),
    _one(100, Remedy.DEAD, "a parameter is wrong or missing", CORRECT),
    _one(190, Remedy.STOP, "the access token has expired", NEW_TOKEN),
    Code(
        200, 299, "a permission is missing", Remedy.STOP, "check the app's and the system user's permissions"
    ),
    _one(368, Remedy.STOP, "the account is blocked for breaking Meta's policy", SEE_ACCOUNT),
    _one(80007, Remedy.THROTTLE, "the account has reached its limit of calls", SEND_LESS),
    _one(
        130429,
        Remedy.THROTTLE,
        "the number sends faster than its throughput allows",
        "wait; ask Meta for an upgrade",
    ),
    _one(130472, Remedy.DEAD, "the user is part of an experiment of Meta's", "reach the user in another way"),
    _one(130497, Remedy.DEAD, "the account may not message users of this country", SEE_ACCOUNT),
    _one(131000, Remedy.AGAIN, "something went wrong at Meta", "wait; tell Meta's support if it stays"),
    _one(131005, Remedy.STOP, "access was denied", "check the token's permissions"),
    _one(131008, Remedy.DEAD, "a required parameter is missing", CORRECT),
    _one(131009, Remedy.DEAD, "a parameter's value is not valid", CORRECT),
    _one(131016, Remedy.AGAIN, "a service of Meta's is overloaded", "wait"),
    _one(131021, Remedy.DEAD, "sender and recipient are the same number", "send to another number"),
    _one(
        131026,
        Remedy.DEAD,
        "the message cannot be delivered to this user",
        "the user may have no WhatsApp, or an old one",
    ),
    _one(
        131030,
        Remedy.DEAD,
        "the recipient is not on the test number's list",
        "add the recipient at Meta, or use a real number",
    ),
    _one(131031, Remedy.STOP, "the account is locked", SEE_ACCOUNT),
    _one(131037, Remedy.STOP, "the number's display name is not approved", "have the name approved at Meta"),
    _one(131042, Remedy.STOP, "there is no valid way of payment", "renew the payment of the account at Meta"),
    _one(131045, Remedy.STOP, "the number is not registered", "register the number at Meta"),
    _one(
        131047,
        Remedy.DEAD,
        "more than 24 hours have passed since the user wrote",
        "send a template: reply(..., outside_window=...)",
    ),
    _one(
        131048,
        Remedy.THROTTLE,
        "too many messages of this number were blocked or reported",
        "look at the number's quality at Meta",
    ),
    _one(
        131049,
        Remedy.DEAD,
        "Meta keeps this message back for the user's sake",
        "not within 24 hours; send fewer marketing messages",
    ),
    _one(131050, Remedy.DEAD, "the user does not want marketing messages", "send none to this user"),
    _one(131051, Remedy.DEAD, "the message's type is not supported", CORRECT),
    _one(131052, Remedy.DEAD, "the media could not be downloaded", "ask the user to send it again"),
    _one(131053, Remedy.DEAD, "the media could not be uploaded", "check the media's type and size"),
    _one(
        131056,
        Remedy.WAIT_PAIR,
        "too many messages to this user in a short time",
        "wait; send fewer messages to one user",
    ),
    _one(131057, Remedy.AGAIN, "the account is in maintenance, such as an upgrade", "wait"),
    _one(
        131062,
        Remedy.DEAD,
        "this message may not be sent to a business-scoped user id",
        "send to the phone number",
    ),
    _one(131063, Remedy.DEAD, "the template's category does not allow this message", CHECK_TEMPLATE),
    _one(131064, Remedy.DEAD, "the template is being classified anew", CHECK_TEMPLATE),
    Code(
        132000,
        132999,
        "the template does not fit: missing, paused, or with other parameters",
        Remedy.DEAD,
        CHECK_TEMPLATE,
    ),
    _one(133000, Remedy.AGAIN, "an earlier removal of the number has not ended", "wait"),
    _one(133004, Remedy.AGAIN, "Meta's server is temporarily unavailable", "wait"),
    _one(133010, Remedy.STOP, "the number is not registered", "register the number at Meta"),
    _one(133016, Remedy.THROTTLE, "too many registrations of this number", "wait"),
    _one(135000, Remedy.DEAD, "Meta could not process the parameters", CORRECT),
    _one(137000, Remedy.DEAD, "the message's content is not allowed", CORRECT),
)


def find(code: int) -> Code | None:
    """Return the row of a code; None for one that Meta documents nowhere."""
    return next((each for each in CODES if each.first <= code <= each.last), None)


def remedy_for(code: int, *, transient: bool = False) -> Remedy:
    """Return what is done about a code; ``transient`` is Meta's own word for a code that has no row."""
    row = find(code)
    if row is None:
        return Remedy.AGAIN if transient else Remedy.DEAD
    return row.remedy


# A ``failed`` status proves that nothing was delivered: for these, sending the same again may succeed
SENT_AGAIN_AFTER_FAILED = frozenset({Remedy.AGAIN, Remedy.THROTTLE, Remedy.WAIT_PAIR})
