"""The traffic: every POST with its time, and every event inside with what must become of it. Pure: no I/O.

Messages and statuses mixed, in bodies of 1 to 50 items; a few hot conversations among many; some posts come after
later ones, and every tenth twice. The same options give the same bodies. What it leaves out: groups, other fields
than ``messages``, and users whose names turn out to be one, which ``merges`` has.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from app.dev.simulator import Fate, PlannedEvent
from tests.helpers import factories as f

CONVERSATIONS = 80
HOT_CONVERSATIONS = 4
HOT = 0.35  # of the events are theirs
LARGEST_BODY = 50
MESSAGES = (
    0.45  # of what happens is a message from a user; the rest are messages to users, with their statuses
)
DELAYED = 0.10  # of the bodies are posted after later ones
MAX_DELAY_SECONDS = 3.0
REDELIVERED = 0.10  # of the bodies are posted twice
LATEST_REDELIVERY_SECONDS = 30.0
DOOMED = 0.002  # of the messages fail for good
LETHAL = 0.001  # of the messages kill the process that handles them, once
EXITING = 0.004  # of the messages raise SystemExit in their handler, once
LIVES = (
    ("sent", "delivered", "read"),
    ("sent", "delivered"),
    ("sent", "delivered", "read", "played"),
    ("sent", "failed"),
    ("failed",),
)

MAIN_LANE = "main"
CRM_LANE = "crm"  # a second one, of texts
TARGET = "helpdesk"  # a target that wants texts
TARGET_LANE = f"target:{TARGET}"  # its lane name
DIES = "dies"  # texts that the handlers obey
FAILS = "fails for ever"
EXITS = "exits"
DIES_EACH_TIME = "sticker"  # the type of the message that kills every process that handles it


@dataclass(frozen=True, slots=True)
class Options:
    """How much: ``rate`` is events a second, for ``seconds``; ``start`` is the Unix time of the first event."""

    seconds: float
    rate: float
    seed: int
    start: int
    deadly: bool = True  # a few messages kill the process that handles them, one does so each time


@dataclass(frozen=True, slots=True)
class Post:
    """One POST, ``at`` seconds after the start."""

    at: float
    body: bytes
    events: tuple[PlannedEvent, ...]
    web: int  # which web gets its first try


@dataclass(frozen=True, slots=True)
class _Item:
    at: float
    event: PlannedEvent
    raw: f.Json
    user: int


def plan(options: Options) -> list[Post]:
    """Every POST, by its time."""
    rng = Random(f"bodies {options.seed}")
    items = sorted(_timeline(options, rng), key=lambda item: item.at)
    posts: list[Post] = []
    for body in _split(items, rng):
        late = rng.uniform(0, MAX_DELAY_SECONDS) if rng.random() < DELAYED else 0.0
        post = _post(body, body[-1].at + late, rng.randrange(2))
        posts.append(post)
        if rng.random() < REDELIVERED:
            posts.append(_again(post, rng))
    return sorted(posts, key=lambda post: post.at)


def _again(post: Post, rng: Random) -> Post:
    """The same body: at the same instant at the other web, right after, or later."""
    after = rng.choice((0.0, rng.uniform(0, 0.1), rng.uniform(1, LATEST_REDELIVERY_SECONDS)))
    web = 1 - post.web if not after else rng.randrange(2)
    return replace(post, at=post.at + after, web=web)


def _timeline(options: Options, rng: Random) -> Iterator[_Item]:
    """What happens, in no order."""
    left = int(options.seconds * options.rate)
    number = 0
    while left > 0:
        number += 1
        at, user = rng.uniform(0, options.seconds), _user(rng)
        if rng.random() < MESSAGES:
            yield _message(options, number, at, user, rng)
            left -= 1
            continue
        life = rng.choice(LIVES)
        for status in life:
            yield _status(options, number, at, user, status)
            at = min(at + rng.uniform(0, 6), options.seconds)
        left -= len(life)
    if options.deadly:
        yield _message(options, number + 1, options.seconds * 0.1, CONVERSATIONS - 1, rng, DIES_EACH_TIME)


def _user(rng: Random) -> int:
    return rng.randrange(HOT_CONVERSATIONS if rng.random() < HOT else CONVERSATIONS)


def _names(rng: Random) -> dict[str, Any]:
    """Which names of a user an item shows; its contact shows both."""
    return rng.choice(({}, {}, {"from": None}, {"from_user_id": None}))


def _message(options: Options, number: int, at: float, user: int, rng: Random, type_: str = "text") -> _Item:
    occurred_at = options.start + int(at)
    fate = rng.random()
    text = _text(fate, number, deadly=options.deadly)
    content = {"text": {"body": text}} if type_ == "text" else {type_: {"id": "1"}}
    raw = f.message(type_, number=number, sender=user, timestamp=str(occurred_at), **content, **_names(rng))
    event = PlannedEvent(
        key=f"message:{f.wamid(number)}",
        kind="message",
        type=type_,
        conversation=str(user),
        occurred_at=occurred_at,
        message_id=f.wamid(number),
        fate=Fate.DEAD if text == FAILS or type_ == DIES_EACH_TIME else Fate.DONE,
        replies=int(type_ == "text" and text != FAILS),
        lane_names=lane_names(type_),
        targets=targets(type_),
    )
    return _Item(at, event, raw, user)


def lane_names(type_: str) -> tuple[str, ...]:
    """Return the lane names in which messages of a type have handlers."""
    return (MAIN_LANE, CRM_LANE) if type_ == "text" else (MAIN_LANE,)


def targets(type_: str) -> tuple[str, ...]:
    """Return the lane names of the targets that want messages of a type, if there are any in the run."""
    return (TARGET_LANE,) if type_ == "text" else ()


def _text(fate: float, number: int, *, deadly: bool) -> str:
    """What a message asks of its handler, by a number from 0 to 1."""
    if fate < DOOMED:
        return FAILS
    if deadly and fate < DOOMED + LETHAL:
        return DIES
    if deadly and fate < DOOMED + LETHAL + EXITING:
        return EXITS
    return f"message {number}"


def _status(options: Options, number: int, at: float, user: int, status: str) -> _Item:
    occurred_at = options.start + int(at)
    event = PlannedEvent(
        key=f"status:{f.wamid(number)}:{status}:",
        kind="status",
        type=status,
        conversation=str(user),
        occurred_at=occurred_at,
        message_id=f.wamid(number),
    )
    raw = f.status(status, number=number, recipient=user, timestamp=str(occurred_at))
    return _Item(at, event, raw, user)


def _split(items: Sequence[_Item], rng: Random) -> Iterator[Sequence[_Item]]:
    start = 0
    while start < len(items):
        size = rng.choice(
            (1, 1, 1, 1, 1, 1, rng.randint(2, 5), rng.randint(2, 5), rng.randint(6, LARGEST_BODY))
        )
        yield items[start : start + size]
        start += size


def _post(items: Sequence[_Item], at: float, web: int) -> Post:
    """One body; messages and statuses are changes of their own, so the events go by change."""
    messages = [item for item in items if item.event.kind == "message"]
    statuses = [item for item in items if item.event.kind == "status"]
    changes = []
    if messages:
        changes.append(f.messages(*_raws(messages), contacts=_contacts(messages)))
    if statuses:
        changes.append(f.statuses(*_raws(statuses), contacts=_contacts(statuses)))
    events = tuple(item.event for item in (*messages, *statuses))
    return Post(at, f.wire(f.body(*changes)), events, web)


def _raws(items: Sequence[_Item]) -> list[f.Json]:
    return [item.raw for item in items]


def _contacts(items: Sequence[_Item]) -> list[f.Json]:
    return [f.contact(user) for user in sorted({item.user for item in items})]
