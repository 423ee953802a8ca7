"""The verdict names every promise that was broken, and none that was kept."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.dev.demo.promises import PROMISES
from app.dev.judge import Entry, Facts, PastFault, judge
from app.dev.judge.comes_back import RERUN_SECONDS
from app.dev.judge.records import (
    StoredAttempt,
    StoredEffect,
    StoredEvent,
    StoredJob,
    StoredStatus,
)
from app.dev.simulator import Fate, PlannedEvent, Try
from config.celery import DEAD_LETTERS

START = 1_790_000_000
CONVERSATION = "200/US.1"
TEXTS = ("first", "second", "fails", "dies", "photo")
DEAD = "RuntimeError: asked to"
STATUSES = frozenset(("sent", "delivered", "read"))


def at(seconds: float) -> float:
    """Seconds after the first event, which is also when it arrived."""
    return START + seconds


def planned(name: str, place: int) -> PlannedEvent:
    fate = {"dies": Fate.DEAD, "photo": Fate.UNHANDLED}.get(name, Fate.DONE)
    failures = 1 if name == "fails" else 0
    return PlannedEvent(name, "message", "text", CONVERSATION, START + place, name, fate, failures)


def planned_status(status: str, place: int) -> PlannedEvent:
    return PlannedEvent(status, "status", status, CONVERSATION, START + place, "outgoing")


EXPECTED = [
    *(planned(name, place) for place, name in enumerate(TEXTS)),
    *(planned_status(status, 10 + place) for place, status in enumerate(("sent", "delivered", "read"))),
]


def posted(event: PlannedEvent, *statuses: int, forged: bool = False) -> Entry:
    """A body with one event, which got these answers."""
    began = float(event.occurred_at)
    return Entry((event,), [Try("web", began, began + 0.01, status) for status in statuses], forged)


def entries() -> list[Entry]:
    """Each event once, two of them twice, one of these after a 503; two forged posts."""
    twice = [posted(EXPECTED[0], 200), posted(EXPECTED[1], 503, 200)]
    forged = [posted(planned("forged", 20), 401, forged=True)] * 2
    return [*(posted(event, 200) for event in EXPECTED), *twice, *forged]


def stored_event(number: int, event: PlannedEvent) -> StoredEvent:
    return StoredEvent(number, event.key, event.occurred_at, f"{number:02}", 0, event.occurred_at)


def stored_job(number: int, event: PlannedEvent) -> StoredJob:
    """It runs half a second after it came."""
    state = {Fate.DEAD: "dead", Fate.UNHANDLED: "unhandled"}.get(event.fate, "done")
    return StoredJob(
        id=number,
        event_id=number,
        lane_name="main",
        lane=1,
        state=state,
        late=False,
        attempts={"fails": 2, "photo": 0}.get(event.key, 1),
        error=DEAD if state == "dead" else None,
        finished_at=event.occurred_at + (0.8 if event.key == "fails" else 0.6),
    )


def good() -> Facts:
    """One conversation in which everything went well: each event runs in the second after its own."""
    starts = {number: event.occurred_at + 0.5 for number, event in enumerate(EXPECTED)}
    attempts = {n: StoredAttempt(n, 1, "worker1@host/7", s, s + 0.1, None) for n, s in starts.items()}
    attempts[2] = replace(attempts[2], error=DEAD)
    attempts[3] = replace(attempts[3], error=DEAD)
    del attempts[4]  # the photo has no handler
    effects = {
        number: StoredEffect(number, number, 1, False, starts[number], starts[number] + 0.1)
        for number, event in enumerate(EXPECTED)
        if event.fate is Fate.DONE
    }
    effects[2] = StoredEffect(2, 2, 2, False, at(2.7), at(2.8))
    for number, status in zip((5, 6, 7), ("sent", "read", "read"), strict=True):
        effects[number] = replace(effects[number], status_seen=status)
    return Facts(
        entries=entries(),
        deliveries=10,
        duplicates=2,
        events=[stored_event(number, event) for number, event in enumerate(EXPECTED)],
        jobs=[stored_job(number, event) for number, event in enumerate(EXPECTED)],
        attempts=[*attempts.values(), StoredAttempt(2, 2, "worker1@host/7", at(2.7), at(2.8), None)],
        effects=list(effects.values()),
        statuses={"outgoing": StoredStatus("read", STATUSES)},
        queues={"journal": 0, "webhooks": 0, DEAD_LETTERS: 1},
        faults=[PastFault("kill_worker", at(1), at(1), pids=None, target="worker1")],
    )


def event(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another row of this event."""
    rows = [replace(row, **changes) if row.key == key else row for row in facts.events]  # type: ignore[arg-type]
    return replace(facts, events=rows)


def job(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another job of this event."""
    number = facts.event_of[key].id
    rows = [replace(row, **changes) if row.event_id == number else row for row in facts.jobs]  # type: ignore[arg-type]
    return replace(facts, jobs=rows)


def effect(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another effect of this event."""
    number = facts.event_of[key].id
    rows = [replace(row, **changes) if row.job_id == number else row for row in facts.effects]  # type: ignore[arg-type]
    return replace(facts, effects=rows)


def without(facts: Facts, key: str) -> Facts:
    number = facts.event_of[key].id
    return replace(
        facts,
        events=[row for row in facts.events if row.id != number],
        jobs=[row for row in facts.jobs if row.event_id != number],
        effects=[row for row in facts.effects if row.job_id != number],
    )


def again(facts: Facts, key: str) -> Facts:
    """Its effect twice."""
    number = facts.event_of[key].id
    more = [replace(row, sequence=90) for row in facts.effects if row.job_id == number]
    return replace(facts, effects=[*facts.effects, *more])


def with_entry(facts: Facts, entry: Entry) -> Facts:
    return replace(facts, entries=[*facts.entries, entry])


def unsent(facts: Facts, key: str) -> Facts:
    """As if nobody had posted this event."""
    return replace(facts, entries=[each for each in facts.entries if each.events[0].key != key])


def attempt(facts: Facts, number: int, **changes: object) -> Facts:
    """The facts with another first attempt of this event."""
    rows = [
        replace(row, **changes) if (row.job_id, row.number) == (number, 1) else row  # type: ignore[arg-type]
        for row in facts.attempts
    ]
    return replace(facts, attempts=rows)


def interrupted(facts: Facts, again_after: float | None) -> Facts:
    """``first`` was interrupted by the kill, at second 1, and begun again so many seconds later."""
    facts = attempt(facts, 0, finished_at=None)
    if again_after is None:
        return facts
    again = StoredAttempt(0, 2, "worker2@host/8", at(1 + again_after), at(2 + again_after), None)
    return replace(facts, attempts=[*facts.attempts, again])


def late(facts: Facts, *, stored: float, marked: bool) -> Facts:
    """``first`` runs after ``second``: it was stored at ``stored`` (``second`` began at 1.5)."""
    moved = effect(facts, "first", sequence=1, started_at=at(1.65), ended_at=at(1.7), late=marked)
    moved = effect(moved, "second", sequence=0)
    moved = attempt(moved, 0, started_at=at(1.65), finished_at=at(1.7))
    return event(moved, "first", stored_at=at(stored))


def faults(facts: Facts) -> dict[str, list[str]]:
    return {verdict.promise: verdict.sentences for verdict in judge(facts, PROMISES) if not verdict.kept}


def test_without_a_fault_every_promise_is_kept() -> None:
    assert faults(good()) == {}


BROKEN: list[tuple[str, Callable[[Facts], Facts], str]] = [
    ("Acked means stored", lambda f: without(f, "second"), "lost: second"),
    ("Acked means stored", lambda f: replace(f, deliveries=9), "9 deliveries are stored"),
    ("Acked means stored", lambda f: replace(f, deliveries=12), "12 deliveries are stored"),
    ("Acked means stored", lambda f: replace(f, duplicates=1), "1 duplicates are not the 10"),
    ("Acked means stored", lambda f: with_entry(f, posted(EXPECTED[0], 503)), "a post never got a 200"),
    ("Stored means finished", lambda f: job(f, "second", state="pending"), "not finished: second"),
    ("Stored means finished", lambda f: job(f, "second", finished_at=None), "not finished: second"),
    ("Stored means finished", lambda f: job(f, "second", lane_name="crm"), "has jobs in crm: second"),
    ("Stored means finished", lambda f: job(f, "second", state="unhandled"), "no handler took: second"),
    ("Stored means finished", lambda f: job(f, "photo", state="done"), "some handler took: photo"),
    ("Stored means finished", lambda f: replace(f, queues={"journal": 3}), "3 left in journal"),
    ("Once", lambda f: again(f, "second"), "2 effects instead of 1: second"),
    ("Once", lambda f: effect(f, "second", job_id=0), "0 effects instead of 1: second"),
    ("Once", lambda f: effect(f, "second", job_id=4), "1 effects instead of 0: photo"),
    ("Once", lambda f: effect(f, "second", job_id=3), "1 effects instead of 0: dies"),
    ("Once", lambda f: effect(f, "second", job_id=77), "not stored: 77"),
    ("Once", lambda f: effect(f, "second", ended_at=at(1.9)), "not those of its attempt: second"),
    ("Once", lambda f: effect(f, "second", attempt=2), "not those of its attempt: second"),
    ("Once", lambda f: job(f, "second", attempts=2), "2 attempts, and other rows: second"),
    ("Once", lambda f: attempt(f, 2, finished_at=at(2.75)), "attempts overlap: fails"),
    ("Once", lambda f: attempt(f, 2, error=None), "2 attempts were committed: fails"),
    ("Once", lambda f: replace(f, events=[*f.events, f.events[0]]), "accepted 2 times: first"),
    ("In order", lambda f: effect(f, "second", started_at=at(0.55)), "at the same time: first and second"),
    (
        "In order",
        lambda f: late(f, stored=0, marked=False),
        "out of order: first, stored 1.500 s before second",
    ),
    ("In order", lambda f: late(f, stored=1.6, marked=False), "not marked late: first ran after second"),
    (
        "In order",
        lambda f: late(f, stored=0.2, marked=True),
        "out of order: first, stored 1.300 s before second",
    ),
    ("In order", lambda f: effect(f, "second", late=True), "marked late, but nothing later had run"),
    ("In order", lambda f: event(f, "second", occurred_at=at(1.2)), "another time than it was sent with"),
    ("In order", lambda f: job(f, "second", lane=2), f"split over several lanes: {CONVERSATION}"),
    (
        "In order",
        lambda f: effect(f, "sent", sequence=2, started_at=at(2.55), ended_at=at(2.6)),
        "did not wait: sent ran while fails was failing",
    ),
    (
        "Statuses never go back",
        lambda f: replace(f, statuses={"outgoing": StoredStatus("sent", STATUSES)}),
        "stands at sent instead of read",
    ),
    ("Statuses never go back", lambda f: replace(f, statuses={}), "no status is stored"),
    (
        "Statuses never go back",
        lambda f: replace(f, statuses={"outgoing": StoredStatus("read", frozenset(("sent", "read")))}),
        "has no time for delivered",
    ),
    (
        "Statuses never go back",
        lambda f: effect(f, "read", status_seen="delivered"),
        "went back from read to delivered",
    ),
    (
        "Nothing unsigned gets in",
        lambda f: with_entry(f, posted(planned("forged", 20), 200, forged=True)),
        "a forged post got a 200",
    ),
    (
        "Nothing unsigned gets in",
        lambda f: unsent(f, "second"),
        "nobody sent it under the right secret: second",
    ),
    (
        "Failure is loud",
        lambda f: job(f, "second", state="dead", error="X: y"),
        "unexpectedly: second: X: y",
    ),
    ("Failure is loud", lambda f: job(f, "dies", state="done"), "should have died: dies"),
    ("Failure is loud", lambda f: job(f, "dies", error=None), "died without a reason: dies"),
    ("Failure is loud", lambda f: replace(f, queues={}), "holds 0 messages for 1"),
    (
        "Failure is loud",
        lambda f: replace(f, attempts=[run for run in f.attempts if run.job_id != 2]),
        "0 of 1 failures are written down: fails",
    ),
    ("A killed worker's event runs again", lambda f: interrupted(f, None), "never ran again: first"),
    (
        "A killed worker's event runs again",
        lambda f: interrupted(f, RERUN_SECONDS + 1),
        f"only after {RERUN_SECONDS + 1:.0f} s: first",
    ),
]


@pytest.mark.parametrize(("promise", "broken", "sentence"), BROKEN, ids=[case[2] for case in BROKEN])
def test_what_is_broken_is_named(promise: str, broken: Callable[[Facts], Facts], sentence: str) -> None:
    assert any(sentence in fault for fault in faults(broken(good()))[promise])


def test_an_event_that_was_stored_too_late_and_told_so_is_no_fault() -> None:
    assert faults(late(good(), stored=1.6, marked=True)) == {}


def test_an_event_that_ran_again_in_time_is_no_fault() -> None:
    assert "A killed worker's event runs again" not in faults(interrupted(good(), RERUN_SECONDS - 1))


def test_two_conversations_in_one_lane_are_named() -> None:
    facts = good()
    second = posted(replace(EXPECTED[1], conversation="200/US.2"), 200)
    facts = with_entry(unsent(facts, "second"), second)
    assert any("share lane 1" in fault for fault in faults(facts)["In order"])
