"""Holds the tables against the sender's ledger, promise by promise. Pure: no I/O.

Each check yields what it has looked at: None for what is right, a Violation for what is not. What it cannot see: what a
handler did outside its transaction, and a run that was rolled back.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from app.stores.models import MessageStatus
from tests.chaos.facts import Attempt, Effect, Facts, PastFault
from tests.chaos.order import in_order

FINAL = ("done", "dead")
RETURN_SECONDS = 60.0  # from the end of a fault until work goes on
SENTENCES = 100  # of the violations of one promise that are kept
RANK = {status.value: rank for rank, status in enumerate(MessageStatus)}


@dataclass(frozen=True, slots=True)
class Violation:
    """A sentence, and the keys of the events whose history shows it."""

    sentence: str
    keys: tuple[str, ...] = ()


@dataclass(slots=True)
class Verdict:
    """One promise: how much was looked at, how much of it was broken, the first of it, and some more."""

    promise: str
    checked: int = 0
    violations: int = 0
    first: Violation | None = None
    history: list[str] = field(default_factory=list)  # of the first
    sentences: list[str] = field(default_factory=list)

    def count(self, found: Violation | None) -> None:
        self.checked += 1
        if found is not None:
            self.violations += 1
            self.first = self.first or found
            if len(self.sentences) < SENTENCES:
                self.sentences.append(found.sentence)


def judge(facts: Facts) -> list[Verdict]:
    """Every promise, in the order in which they are documented."""
    verdicts = []
    for promise, check in PROMISES.items():
        verdict = Verdict(promise)
        for found in check(facts):
            verdict.count(found)
        if verdict.first:
            verdict.history = [f"{key}: {line}" for key in verdict.first.keys for line in facts.history(key)]
        verdicts.append(verdict)
    return verdicts


def nothing_is_lost(facts: Facts) -> Iterator[Violation | None]:
    """Every event of a body that was answered with 200 is a row."""
    for entry in facts.entries:
        if not entry.acknowledged:
            yield Violation("a post never got a 200", tuple(event.key for event in entry.post.events[:1]))
    for key in facts.acknowledged:
        yield None if key in facts.event_of else Violation(f"lost: {key}", (key,))


def nothing_is_made_up(facts: Facts) -> Iterator[Violation | None]:
    """Every row is an event that was posted, once, with its own time."""
    for key, count in Counter(event.key for event in facts.events).items():
        if count > 1:
            yield Violation(f"{count} rows: {key}", (key,))
    for event in facts.events:
        known = facts.sent.get(event.key)
        if known is None:
            yield Violation(f"nobody sent it: {event.key}", (event.key,))
        elif known.event.occurred_at != event.occurred_at:
            yield Violation(f"has another time than it was sent with: {event.key}", (event.key,))
        else:
            yield None


def everything_is_finished(facts: Facts) -> Iterator[Violation | None]:
    """Every event is final, and nothing waits anywhere."""
    for event in facts.events:
        yield (
            None
            if event.state in FINAL and event.finished_at is not None
            else Violation(f"is {event.state}: {event.key}", (event.key,))
        )
    for name, count in facts.queues.items():
        if name != "dead_letters":
            yield Violation(f"{count} left in {name}") if count else None


def those_are_dead_that_must_be(facts: Facts) -> Iterator[Violation | None]:
    """And each has its message in the queue of dead letters."""
    for key, event in facts.acknowledged.items():
        row = facts.event_of.get(key)
        if row is None:
            continue
        if (row.state == "dead") != event.dies:
            yield Violation(f"is {row.state}, and must {'' if event.dies else 'not '}die: {key}", (key,))
        else:
            yield None
    dead = sum(event.state == "dead" for event in facts.events)
    queued = facts.queues.get("dead_letters", dead)
    yield None if queued == dead else Violation(f"{queued} messages for {dead} dead letters")


def effects_are_once(facts: Facts) -> Iterator[Violation | None]:
    """The effects of an event are committed once, by its one successful attempt, within that attempt."""
    for event in facts.events:
        effects, attempts = facts.effects_of.get(event.id, []), facts.attempts_of.get(event.id, [])
        succeeded = [attempt for attempt in attempts if attempt.succeeded]
        wanted = 1 if event.state == "done" else 0
        if len(effects) != wanted and event.state in FINAL:
            yield Violation(f"{len(effects)} effects of one that is {event.state}: {event.key}", (event.key,))
        elif len(succeeded) > wanted:
            yield Violation(f"{len(succeeded)} attempts were committed: {event.key}", (event.key,))
        elif effects and not (succeeded and _within(effects[0], succeeded[0])):
            yield Violation(f"its effects are not those of its attempt: {event.key}", (event.key,))
        else:
            yield None
    for event_id in facts.effects_of.keys() - facts.by_id.keys():
        yield Violation(f"effects of no event: {event_id}")


def _within(effect: Effect, attempt: Attempt) -> bool:
    ended = attempt.finished_at or 0
    return (
        effect.attempt == attempt.number
        and attempt.started_at <= effect.started_at <= effect.ended_at <= ended
    )


def attempts_are_counted(facts: Facts) -> Iterator[Violation | None]:
    """Numbered without a gap, as many as the event says, and none finished after the next had begun."""
    for event in facts.events:
        attempts = facts.attempts_of.get(event.id, [])
        if [attempt.number for attempt in attempts] != list(range(1, event.attempts + 1)):
            yield Violation(f"{event.attempts} attempts, and other rows: {event.key}", (event.key,))
            continue
        overlapping = any(
            before.finished_at is not None and before.finished_at > after.started_at
            for before, after in pairwise(attempts)
        )
        yield Violation(f"attempts overlap: {event.key}", (event.key,)) if overlapping else None


def order_is_kept(facts: Facts) -> Iterator[Violation | None]:
    """Per conversation: one at a time, by place, and what is late says so."""
    for fault in in_order(facts):
        yield Violation(*fault) if fault else None


def statuses_only_rise(facts: Facts) -> Iterator[Violation | None]:
    """Each message stands at the furthest status that was sent of it."""
    furthest_of: dict[str, tuple[str, str]] = {}
    for key, event in facts.acknowledged.items():
        if event.status is not None:
            furthest = furthest_of.get(event.message_id, ("sent", key))
            furthest_of[event.message_id] = max(furthest, (event.status, key), key=lambda each: RANK[each[0]])
    for message_id, (status, key) in furthest_of.items():
        found = facts.statuses.get(message_id)
        yield None if found == status else Violation(f"stands at {found} instead of {status}: {key}", (key,))


def it_comes_back(facts: Facts) -> Iterator[Violation | None]:
    """After each fault something that waits is completed within RETURN_SECONDS, outages by other faults aside."""
    finished = sorted(event.finished_at for event in facts.events if event.finished_at is not None)
    for fault in facts.faults:
        since = _waiting_since(facts, fault.ended_at)
        if since is None:
            continue  # nothing was left to be done
        place = bisect_right(finished, since)
        if place == len(finished):
            yield Violation(f"nothing was completed after {fault.kind} had ended")
            continue
        took = finished[place] - since - _disturbed(facts, fault, since, finished[place])
        yield (
            Violation(f"nothing was completed for {took:.0f} s after {fault.kind} had ended")
            if took > RETURN_SECONDS
            else None
        )


def _waiting_since(facts: Facts, moment: float) -> float | None:
    """From when on an acknowledged event waited that was not completed at a moment; None if there was none."""
    waits = []
    for key, accepted in facts.sent.items():
        if accepted.latest is None:
            continue
        event = facts.event_of.get(key)
        if event is None or event.finished_at is None or event.finished_at > moment:
            waits.append(max(accepted.latest, moment))
    return min(waits, default=None)


def _disturbed(facts: Facts, fault: PastFault, since: float, until: float) -> float:
    """Seconds between two times in which another fault lasted."""
    covered, total = since, 0.0
    for other in sorted(facts.faults, key=lambda each: each.began_at):
        begin, end = max(other.began_at, covered), min(other.ended_at, until)
        if other is not fault and end > begin:
            total, covered = total + end - begin, end
    return total


PROMISES: dict[str, Callable[[Facts], Iterator[Violation | None]]] = {
    "1a answered 200, so it is there": nothing_is_lost,
    "1b nothing that was not sent": nothing_is_made_up,
    "2a every event is final, nothing waits": everything_is_finished,
    "2b dead are those that must be": those_are_dead_that_must_be,
    "3a effects exactly once": effects_are_once,
    "3b attempts never overlap": attempts_are_counted,
    "4 in order, one at a time": order_is_kept,
    "5 statuses only rise": statuses_only_rise,
    "8 it comes back by itself": it_comes_back,
}
