"""Traffic as Meta would send it, as data: every POST, and what is to become of each event. Pure: no I/O.

The same options give the same bodies, byte for byte.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from app.dev.simulator.traffic_items import (
    PHONE_NUMBER_ID,
    Content,
    Fate,
    Item,
    Json,
    Options,
    PlannedEvent,
    User,
    message,
    named,
    some,
    timeline,
    users_of,
)

__all__ = ["Fate", "Options", "PlannedEvent", "Post", "expected_events", "plan", "wire"]

ACCOUNT = "318400700200100"  # the WABA
OWN_PHONE = "15550199000"
LONE_ITEMS = 0.5  # of the bodies hold one item
FARTHEST_SHUFFLE = 60  # posts that overtake a shuffled one, at most
FARTHEST_REDELIVERY = 200  # posts between a body and its redelivery, at most


@dataclass(frozen=True, slots=True)
class Post:
    """One POST. Those of one ``turn`` are sent side by side."""

    body: bytes
    events: tuple[PlannedEvent, ...]
    turn: int = 0
    repeated: bool = False  # the same body is, or was, posted elsewhere in the plan
    forged: bool = False  # to be signed with a wrong secret: nothing of it may get in


def plan(options: Options) -> list[Post]:
    """Every POST in the order of sending."""
    rng = Random(options.seed)
    users = users_of(options.conversations, rng)
    posts = list(_posts(timeline(options, users, rng), options.largest_batch, rng))
    forged = [
        _forged(user, number, options, rng) for number, user in enumerate(some(users, options.forged, rng))
    ]
    return _arrange(posts, forged, options, rng)


def expected_events(posts: Iterable[Post]) -> list[PlannedEvent]:
    """Every event that is to be accepted, once, in the order of the first post that holds it."""
    found = {event.key: event for post in posts if not post.forged for event in post.events}
    return list(found.values())


def _posts(items: Sequence[Item], largest_batch: int, rng: Random) -> Iterator[Post]:
    start = 0
    while start < len(items):
        size = 1 if rng.random() < LONE_ITEMS else rng.randint(1, largest_batch)
        yield _post(items[start : start + size])
        start += size


def _post(items: Sequence[Item]) -> Post:
    """One body; its messages and its statuses are changes of their own, so the events go by change."""
    by_kind = {kind: [item for item in items if item.event.kind == kind] for kind in ("message", "status")}
    changes = [_change(kind, found) for kind, found in by_kind.items() if found]
    content = {
        "object": "whatsapp_business_account",
        "entry": [{"id": ACCOUNT, "changes": changes}],
    }
    return Post(wire(content), tuple(item.event for found in by_kind.values() for item in found))


def _change(kind: str, items: Sequence[Item]) -> Json:
    users = {item.user.user_id: item.user for item in reversed(items)}
    profiles = [
        {"profile": {"name": user.name}, **named(wa_id=user.phone), "user_id": user.user_id}
        for user in users.values()
    ]
    value = {
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": OWN_PHONE, "phone_number_id": PHONE_NUMBER_ID},
        "contacts": profiles,
        {"message": "messages", "status": "statuses"}[kind]: [item.raw for item in items],
    }
    return {"value": value, "field": "messages"}


def wire(content: Any) -> bytes:
    """JSON as Meta writes it: ASCII with lower-case escapes, no white space, slashes escaped."""
    return json.dumps(content, separators=(",", ":")).replace("/", "\\/").encode()


def _forged(user: User, number: int, options: Options, rng: Random) -> Post:
    content = Content("text", f"forged {number}")
    return replace(_post([message(user, options.start, content, rng)]), forged=True)


def _arrange(posts: Sequence[Post], forged: Sequence[Post], options: Options, rng: Random) -> list[Post]:
    """Shuffle some, repeat some, and give every post its turn."""
    ranks = [float(place) for place in range(len(posts))]
    for place in _sample(len(posts), options.shuffled, rng):
        ranks[place] += rng.randint(1, FARTHEST_SHUFFLE) + 0.5
    ranked = list(zip(ranks, posts, strict=True))
    for number, place in enumerate(_sample(len(posts), options.redelivered, rng)):
        again = replace(posts[place], repeated=True)
        later = rng.randint(1, FARTHEST_REDELIVERY) + 0.25 if number % 2 else 0
        ranked[place] = (ranks[place], again)
        ranked.append((ranks[place] + later, again))
    ranked += [(rng.uniform(0, len(posts)), post) for post in forged]
    ranked.sort(key=lambda pair: pair[0])
    turns = {rank: turn for turn, rank in enumerate(sorted({rank for rank, _ in ranked}))}
    return [replace(post, turn=turns[rank]) for rank, post in ranked]


def _sample(count: int, percent: float, rng: Random) -> list[int]:
    return rng.sample(range(count), round(count * percent / 100))
