"""Different bodies without end, each signed and ready to be sent. Pure: no I/O.

Each body holds one item, in the shape in which Meta sends it, so that a post is an event. The same traffic and
number give the same bytes.
"""

import hashlib
import hmac
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

SECRET = "bench-app-secret"  # noqa: S105  (both sides of the measurement know it)
STATUSES = ("sent", "delivered", "read")
MIX = 1 + len(STATUSES)  # Meta's: three statuses of an outgoing message to one incoming message
SPREAD = 2_654_435_761  # a prime: consecutive numbers go to conversations far apart
START = 1_790_000_000  # Unix seconds of the first event
EVENTS_A_SECOND = 1_000  # of Meta's time
DAYS = 10 * 24 * 3600  # after which Meta's time begins again: numbers may be large

CONVERSATIONS = 5_000

Kind = Literal["messages", "mix"]

_HEAD = (
    '{"object":"whatsapp_business_account","entry":[{"id":"318400700200100","changes":[{"value":'
    '{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550199000",'
    '"phone_number_id":"318400700200200"},"contacts":[{"profile":{"name":"Zo\\u00eb %(user)d"},'
    '"wa_id":"1555%(user)07d","user_id":"US.9000%(user)012d"}],'
)
_TAIL = '},"field":"messages"}]}]}'
_MESSAGE = (
    _HEAD + '"messages":[{"from":"1555%(user)07d","from_user_id":"US.9000%(user)012d","id":"%(wamid)s",'
    '"timestamp":"%(at)d","type":"text","text":{"body":"Where is my order %(number)d? It was to come today."}}]'
    + _TAIL
)
_STATUS = (
    _HEAD + '"statuses":[{"id":"%(wamid)s","status":"%(status)s","timestamp":"%(at)d",'
    '"recipient_id":"1555%(user)07d","recipient_user_id":"US.9000%(user)012d","conversation":'
    '{"id":"7d1b1c3f5a1e4f7c9d0e%(user)012d","origin":{"type":"service"}},"pricing":{"billable":true,'
    '"pricing_model":"PMP","category":"service","type":"regular"}}]' + _TAIL
)
_REQUEST = (
    b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nUser-Agent: facebookexternalua\r\n"
    b"Content-Type: application/json\r\nX-Hub-Signature-256: sha256=%s\r\nContent-Length: %d\r\n\r\n%s"
)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Which bodies: their kind, over how many conversations, and where the numbers begin."""

    kind: Kind = "messages"
    conversations: int = CONVERSATIONS
    first: int = 0

    def messages(self, count: int) -> int:
        """How many of the first ``count`` events are messages."""
        return count if self.kind == "messages" else len(range(-self.first % MIX, count, MIX))


@dataclass(slots=True)
class Numbers:
    """Gives each measurement events of its own: one that was sent before would be a duplicate.

    They begin at the time of day, so that a database that is kept knows none of them either.
    """

    next: int = field(default_factory=lambda: time.time_ns() // 1_000_000 * MIX)

    def take(self, traffic: Traffic, count: int) -> Traffic:
        """The same kind of traffic, beyond all that was taken before; the mix begins with its message."""
        first, self.next = self.next, self.next + -(-count // MIX) * MIX
        return replace(traffic, first=first)


def wamid(number: int, *, outgoing: bool = False) -> str:
    """As long as Meta's, and as far from the one before: an index has no page that most of them go to."""
    scattered = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()[:20]
    return f"wamid.HBgLMTU1NTAxOTkwMDAVAgA{'R' if outgoing else 'S'}GBQz{scattered}AA=="


def body(traffic: Traffic, number: int) -> bytes:
    """The body of this number."""
    turn, part = divmod(number, MIX) if traffic.kind == "mix" else (number, 0)
    fields: dict[str, int | str] = {
        "user": turn * SPREAD % traffic.conversations,
        "at": START + number // EVENTS_A_SECOND % DAYS,
        "number": number,
    }
    if part == 0:
        return (_MESSAGE % (fields | {"wamid": wamid(number)})).encode()
    fields |= {"wamid": wamid(turn, outgoing=True), "status": STATUSES[part - 1]}
    return (_STATUS % fields).encode()


def signature(content: bytes) -> str:
    """The hexadecimal digest, without ``sha256=``."""
    return hmac.digest(SECRET.encode(), content, "sha256").hex()


def numbers(traffic: Traffic, process: int, processes: int) -> Iterator[int]:
    """What one of several senders sends, so that none sends what another does."""
    number = traffic.first + process
    while True:
        yield number
        number += processes


def requests(traffic: Traffic, process: int = 0, processes: int = 1) -> Iterator[bytes]:
    """Whole HTTP requests, one after the other."""
    for number in numbers(traffic, process, processes):
        content = body(traffic, number)
        yield _REQUEST % (signature(content).encode(), len(content), content)
