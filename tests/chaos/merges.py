"""Users whose names turn out to be one, by two bodies that come to two webs at the same instant. Pure: no I/O.

A user writes under three names, each of which is a conversation as far as anybody knows: a phone number, a BSUID, and
the BSUID that follows it. Then one body shows the first two together, another tells that the third follows the
second. All is one conversation in the end, in whatever order that is ingested. Order holds for each name by itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from app.dev.simulator import Fate, PlannedEvent
from tests.chaos.bodies import Post, lane_names, targets
from tests.helpers import factories as f

FIRST_USER = 1000  # far from those of ``bodies``
FIRST_NUMBER = 10_000_000
NUMBERS = 100  # of messages, at most, for each user
BEFORE_SECONDS = 5  # under three names, before they are linked
AFTER_SECONDS = 3
EACH = 3  # messages under each name before, and under the last one after


def plan(times: Sequence[float], start: int) -> list[Post]:
    """Every POST: at each of the times (seconds after ``start``) the names of one user are linked."""
    return [post for number, at in enumerate(times) for post in _User(number, at, start).posts()]


class _User:
    def __init__(self, number: int, at: float, start: int) -> None:
        self._first, self._next = FIRST_USER + 2 * number, FIRST_USER + 2 * number + 1
        self._number = FIRST_NUMBER + NUMBERS * number
        self._at = at
        self._start = start

    def posts(self) -> Iterator[Post]:
        phone, user_id, next_user_id = (
            (self._first, {"from_user_id": None}, {"user_id": None}, "phone"),
            (self._first, {"from": None}, {"wa_id": None}, "user id"),
            (self._next, {"from": None}, {"wa_id": None}, "next user id"),
        )
        for index in range(EACH):
            for web, (user, names, shown, name) in enumerate((phone, user_id, next_user_id)):
                at = self._at - BEFORE_SECONDS + index
                yield self._message(at, web % 2, user, names, f.contact(user, **shown), name)
        yield self._message(self._at, 0, self._first, {}, f.contact(self._first), "phone and user id")
        yield self._notice(self._at, 1)
        user, names, shown, name = next_user_id
        for index in range(EACH):
            at = self._at + AFTER_SECONDS + index
            yield self._message(at, index % 2, user, names, f.contact(user, **shown), name)

    def _message(
        self, at: float, web: int, user: int, names: dict[str, Any], contact: f.Json, name: str
    ) -> Post:
        number, occurred_at = self._take(at)
        raw = f.text_message(
            f"message {number}", number=number, sender=user, timestamp=str(occurred_at), **names
        )
        return self._post(
            at, web, f.messages(raw, contacts=[contact]), self._event(number, occurred_at, "text", name)
        )

    def _notice(self, at: float, web: int) -> Post:
        """No handler is registered for it."""
        number, occurred_at = self._take(at)
        before, after = f.user_id(self._first), f.user_id(self._next)
        raw = f.system_message(
            "user_changed_user_id", number=number, sender_id=before, user_id=after, previous_user_id=before
        )
        event = self._event(number, occurred_at, "system", "notice", Fate.UNHANDLED)
        return self._post(at, web, f.messages({**raw, "timestamp": str(occurred_at)}), event)

    def _take(self, at: float) -> tuple[int, int]:
        self._number += 1
        return self._number, self._start + int(at)

    def _event(
        self, number: int, occurred_at: int, type_: str, name: str, fate: Fate = Fate.DONE
    ) -> PlannedEvent:
        return PlannedEvent(
            key=f"message:{f.wamid(number)}",
            kind="message",
            type=type_,
            conversation=str(self._first),
            occurred_at=occurred_at,
            message_id=f.wamid(number),
            fate=fate,
            name=name,
            replies=int(type_ == "text"),
            lane_names=lane_names(type_),
            targets=targets(type_),
        )

    @staticmethod
    def _post(at: float, web: int, change: f.Json, event: PlannedEvent) -> Post:
        return Post(at, f.wire(f.body(change)), (event,), web)
