"""What the sender knows: which body it posted when, and how it was answered. Pure: no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.chaos.bodies import Post, SentEvent

OK = 200
NO_ANSWER = 0  # in the place of an HTTP status


@dataclass(frozen=True, slots=True)
class Try:
    """One request; times are Unix seconds of the sender's clock."""

    web: str
    began: float
    ended: float
    status: int


@dataclass(slots=True)
class Entry:
    """A post and every try of it, in their order."""

    post: Post
    tries: list[Try] = field(default_factory=list)

    @property
    def acknowledged(self) -> bool:
        return any(each.status == OK for each in self.tries)


@dataclass(slots=True)
class Acceptance:
    """When an event was accepted: not before ``earliest``, and not after ``latest`` (None: no 200 has come)."""

    event: SentEvent
    body: int  # the number of the first entry that holds it: one body, however often it is posted
    place: int  # in the body
    earliest: float
    latest: float | None

    def before(self, other: "Acceptance") -> bool:
        """Whether it was accepted before the other was posted at all."""
        return self.latest is not None and self.latest < other.earliest


def acceptances(entries: Iterable[Entry]) -> dict[str, Acceptance]:
    """Every event of a body that was posted at least once, by its key."""
    found: dict[str, Acceptance] = {}
    for number, entry in enumerate(entries):
        if not entry.tries:
            continue
        earliest = entry.tries[0].began
        latest = min((each.ended for each in entry.tries if each.status == OK), default=None)
        for place, event in enumerate(entry.post.events):
            known = found.get(event.key)
            if known is None:
                found[event.key] = Acceptance(event, number, place, earliest, latest)
                continue
            known.earliest = min(known.earliest, earliest)
            if latest is not None:
                known.latest = latest if known.latest is None else min(known.latest, latest)
    return found
