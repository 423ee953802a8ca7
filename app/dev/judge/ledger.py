"""What the sender knows: which body it posted when, and how it was answered. Pure: no I/O."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.dev.simulator import OK, PlannedEvent, Try


@dataclass(slots=True)
class Entry:
    """A post: the events of its body, and each of its tries in order."""

    events: tuple[PlannedEvent, ...]
    tries: list[Try] = field(default_factory=list)
    forged: bool = False  # signed with a wrong secret

    @property
    def acknowledged(self) -> bool:
        return any(each.status == OK for each in self.tries)


@dataclass(frozen=True, slots=True)
class Sent:
    """What was posted, in numbers; an item counts once for each post or try that holds it."""

    posts: int  # well signed, redeliveries included
    tries: int  # more, where a post got no 200 and was sent again
    acknowledged: int  # posts that got a 200
    acknowledged_items: int
    tried_items: int
    forged: int
    forged_acknowledged: int


@dataclass(slots=True)
class Acceptance:
    """When an event was accepted: not before ``earliest``, and not after ``latest`` (None: no 200 has come).

    It may have been accepted again until ``last``, the end of its last try.
    """

    event: PlannedEvent
    body: int  # the number of the first entry that holds it: one body, however often it is posted
    index: int  # in the body
    earliest: float
    latest: float | None
    last: float

    def before(self, other: "Acceptance") -> bool:
        """Whether it was accepted before the other was posted at all."""
        return self.latest is not None and self.latest < other.earliest


def sent_of(entries: Sequence[Entry]) -> Sent:
    """Count the entries."""
    genuine = [entry for entry in entries if not entry.forged]
    forged = [entry for entry in entries if entry.forged]
    acknowledged = [entry for entry in genuine if entry.acknowledged]
    return Sent(
        posts=len(genuine),
        tries=sum(len(entry.tries) for entry in genuine),
        acknowledged=len(acknowledged),
        acknowledged_items=sum(len(entry.events) for entry in acknowledged),
        tried_items=sum(len(entry.events) * len(entry.tries) for entry in genuine),
        forged=len(forged),
        forged_acknowledged=sum(entry.acknowledged for entry in forged),
    )


def acceptances(entries: Iterable[Entry]) -> dict[str, Acceptance]:
    """Return every event of a well-signed body that was posted at least once, by its key."""
    by_key: dict[str, Acceptance] = {}
    for number, entry in enumerate(entries):
        if not entry.tries or entry.forged:
            continue
        earliest = entry.tries[0].began
        latest = min((each.ended for each in entry.tries if each.status == OK), default=None)
        last = entry.tries[-1].ended
        for index, event in enumerate(entry.events):
            acceptance = by_key.get(event.key)
            if acceptance is None:
                by_key[event.key] = Acceptance(event, number, index, earliest, latest, last)
                continue
            acceptance.earliest = min(acceptance.earliest, earliest)
            acceptance.last = max(acceptance.last, last)
            if latest is not None:
                acceptance.latest = latest if acceptance.latest is None else min(acceptance.latest, latest)
    return by_key
