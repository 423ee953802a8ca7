"""What happens in simulated conversations: messages, statuses and what is to become of each. Pure: no I/O.

What it leaves out: groups, failed sends, and changes of a user's phone number. Every user has a BSUID and every
fifth no phone number, so that a conversation has one name from its first event on.
"""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

PHONE_NUMBER_ID = "318400700200200"
STATUSES = ("sent", "delivered", "read")  # of each message that the business sends, in this order
SECONDS_AN_EVENT = 0.15  # of Meta's time between two events: many share a second, as they do in practice
READ_SECONDS = 20  # after which a message has been read
SLOW_SECONDS = 2  # that the handler of a slow message takes
MAX_FAILURES = 2  # of a message whose handler recovers
WORDS = (
    "Olá",
    "Grüße",
    "¿Cuánto cuesta?",
    "https://example.com/a/b",
    "👍🏽",
    "नमस्ते",
    "thanks",
    "see you at 5",
)
MEDIA = ("image", "reaction", "location")
BASE64 = string.ascii_letters + string.digits + "+/"
WAMID_LENGTH = 44  # characters after the prefix

Json = dict[str, Any]


class Fate(StrEnum):
    """What is to become of an event."""

    DONE = "done"
    UNHANDLED = "unhandled"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Options:
    """How much traffic, and what is wrong with it. Percentages are of bodies, but ``unhandled``."""

    messages: int = 100
    statuses: int = 300
    conversations: int = 10
    redelivered: float = 10.0  # percent that are posted twice, half of them side by side
    shuffled: float = 10.0  # percent that are posted after later ones
    unhandled: float = 5.0  # percent of the messages that are no text
    failing: int = 0  # texts whose handler fails once or twice
    doomed: int = 0  # texts whose handler fails for good
    slow: int = 0  # texts whose handler takes SLOW_SECONDS, in the middle of the traffic
    forged: int = 0  # posts with a wrong signature
    largest_batch: int = 5  # items of one body, at most
    seed: int = 1
    start: int = 1_790_000_000  # Unix seconds of the first event

    def __post_init__(self) -> None:
        if self.messages + self.statuses < 1 or min(self.messages, self.statuses) < 0:
            raise ValueError("there must be at least one message or status")
        if self.conversations < 1 or self.largest_batch < 1:
            raise ValueError("there must be at least one conversation, and one item in a body")
        if not all(0 <= percent <= 100 for percent in (self.redelivered, self.shuffled, self.unhandled)):
            raise ValueError("a percentage is from 0 to 100")
        if self.failing + self.doomed + self.slow > self.messages - self.media:
            raise ValueError("more texts are to fail or to be slow than there are texts")

    @property
    def seconds(self) -> int:
        """Between the first event and the last, in Meta's time; no more than this."""
        return int((self.messages + self.statuses) * SECONDS_AN_EVENT) + READ_SECONDS

    @property
    def media(self) -> int:
        """Messages that are no text."""
        return round(self.messages * self.unhandled / 100)


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """One item, and what is expected of it."""

    key: str
    kind: str
    type: str
    conversation: str
    occurred_at: int  # Unix seconds
    message_id: str
    fate: Fate = Fate.DONE
    failures: int = 0  # attempts that fail before it is done
    slow: bool = False
    name: str = ""  # of its conversation, where other names turn out to be its only later
    replies: int = 0  # that its handlers send
    lane_names: tuple[str, ...] = ("main",)  # in which a handler is registered for it
    targets: tuple[str, ...] = ()  # lane names of targets that want it


@dataclass(frozen=True, slots=True)
class User:
    """Who writes, and is written to; ``phone`` None: it is never shown."""

    phone: str | None
    user_id: str
    name: str

    @property
    def conversation(self) -> str:
        return f"{PHONE_NUMBER_ID}/{self.user_id}"


@dataclass(frozen=True, slots=True)
class Item:
    """A message or status: what is planned, and ``raw`` as Meta sends it."""

    event: PlannedEvent
    user: User
    raw: Json


def users_of(count: int, rng: Random) -> list[User]:
    """Different people."""
    numbers = rng.sample(range(10**7), count)
    return [
        User(
            phone=None if place % 5 == 4 else f"1555{number:07}",
            user_id=f"US.{rng.randrange(10**15, 10**16)}",
            name=f"Zoë {place + 1}",
        )
        for place, number in enumerate(numbers)
    ]


def some(users: Sequence[User], count: int, rng: Random) -> list[User]:
    """``count`` users: each at least once if there are enough, then anyone."""
    return [*users[:count], *(rng.choice(users) for _ in range(count - len(users)))]


# The timeline: what happens in the conversations, in Meta's time


def timeline(options: Options, users: Sequence[User], rng: Random) -> list[Item]:
    """Every message and status, by its time."""
    outgoing = -(-options.statuses // len(STATUSES))
    turns = [True] * options.messages + [False] * outgoing
    rng.shuffle(turns)
    seconds = (options.messages + options.statuses) * SECONDS_AN_EVENT / len(turns)
    texts = iter(_contents(options, rng))
    items: list[Item] = []
    left = options.statuses
    for place, (incoming, user) in enumerate(zip(turns, some(users, len(turns), rng), strict=True)):
        at = options.start + int(place * seconds)
        if incoming:
            items.append(message(user, at, next(texts), rng))
        else:
            items += _life(user, at, min(left, len(STATUSES)), rng)
            left -= len(STATUSES)
    return sorted(items, key=lambda item: item.event.occurred_at)


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says; a text may tell the handler what to do."""

    type: str
    text: str = ""
    fate: Fate = Fate.DONE
    failures: int = 0
    slow: bool = False


def _contents(options: Options, rng: Random) -> list[Content]:
    """One for each message, in their order."""
    contents = [Content("text", rng.choice(WORDS)) for _ in range(options.messages)]
    middle = range(options.messages * 2 // 5, options.messages * 3 // 5)
    slow = rng.sample(middle, min(options.slow, len(middle)))
    others = [place for place in range(options.messages) if place not in set(slow)]
    rng.shuffle(others)
    slow += [others.pop() for _ in range(options.slow - len(slow))]
    for place in slow:
        contents[place] = Content("text", f"take {SLOW_SECONDS} seconds", slow=True)
    for _ in range(options.doomed):
        contents[others.pop()] = Content("text", "fail always", Fate.DEAD)
    for _ in range(options.failing):
        failures = rng.randint(1, MAX_FAILURES)
        contents[others.pop()] = Content("text", f"fail {failures} times", failures=failures)
    for _ in range(options.media):
        contents[others.pop()] = Content(rng.choice(MEDIA), fate=Fate.UNHANDLED)
    return contents


def message(user: User, at: int, content: Content, rng: Random) -> Item:
    """A message from ``user`` at ``at``, Unix seconds."""
    wamid = _wamid(rng)
    event = PlannedEvent(
        key=f"message:{wamid}",
        kind="message",
        type=content.type,
        conversation=user.conversation,
        occurred_at=at,
        message_id=wamid,
        fate=content.fate,
        failures=content.failures,
        slow=content.slow,
    )
    raw = {
        **named(**{"from": user.phone}),
        "from_user_id": user.user_id,
        "id": wamid,
        "timestamp": str(at),
        "type": content.type,
        content.type: _inside(content, wamid, rng),
    }
    return Item(event, user, raw)


def _inside(content: Content, wamid: str, rng: Random) -> Json:
    if content.type == "image":
        return {
            "id": str(rng.randrange(10**15)),
            "mime_type": "image/jpeg",
            "sha256": rng.randbytes(32).hex(),
        }
    if content.type == "reaction":
        return {"message_id": wamid, "emoji": "👍"}
    if content.type == "location":
        return {"latitude": 38.72, "longitude": -9.14, "name": "Praça do Comércio"}
    return {"body": content.text}


def _life(user: User, at: int, statuses: int, rng: Random) -> list[Item]:
    """The statuses of one message that the business sent."""
    wamid = _wamid(rng)
    times = (at, at + rng.randint(0, 2), at + rng.randint(3, READ_SECONDS))
    return [
        _status(user, wamid, status, occurred)
        for status, occurred in list(zip(STATUSES, times, strict=True))[:statuses]
    ]


def _status(user: User, wamid: str, status: str, at: int) -> Item:
    event = PlannedEvent(
        key=f"status:{wamid}:{status}:",
        kind="status",
        type=status,
        conversation=user.conversation,
        occurred_at=at,
        message_id=wamid,
    )
    raw = {
        "id": wamid,
        "status": status,
        "timestamp": str(at),
        **named(recipient_id=user.phone),
        "recipient_user_id": user.user_id,
        "pricing": {"billable": True, "pricing_model": "PMP", "category": "service", "type": "regular"},
    }
    return Item(event, user, raw)


def _wamid(rng: Random) -> str:
    """As opaque as Meta's."""
    return f"wamid.{''.join(rng.choices(BASE64, k=WAMID_LENGTH))}"


def named(**names: str | None) -> Json:
    """Without those that are not shown: Meta leaves the key out."""
    return {name: value for name, value in names.items() if value is not None}
