"""The verdict names every promise that was broken, and none that was kept."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from app.dev.demo.facts import Effect, Facts, Kill, Run, Sent, Status, StoredEvent
from app.dev.demo.verdict import RECOVERY_SECONDS, judge
from app.dev.simulator.traffic_items import Fate, PlannedEvent

START = 1_790_000_000
CONVERSATION = "200/US.1"
TEXTS = ("first", "second", "fails", "dies", "photo")


def at(seconds: float) -> datetime:
    """Seconds after the first event, which is also when it arrived."""
    return datetime.fromtimestamp(START, UTC) + timedelta(seconds=seconds)


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


def good() -> Facts:
    """One conversation in which everything went well: each event runs in the second after its own."""
    events = [
        StoredEvent(
            id=number,
            key=event.key,
            lane=1,
            occurred_at=at(event.occurred_at - START),
            delivery_id=UUID(int=number),
            position=0,
            stored_at=at(event.occurred_at - START),
            state="dead" if event.fate is Fate.DEAD else "done",
            error="RuntimeError: asked to" if event.fate is Fate.DEAD else None,
        )
        for number, event in enumerate(EXPECTED)
    ]
    runs = [(event, at(event.occurred_at - START + 0.5)) for event in EXPECTED]
    attempts = [Run(n, 1, "worker1", start, start, None) for n, (_, start) in enumerate(runs)]
    attempts[2] = replace(attempts[2], error="RuntimeError: asked to")
    attempts[3] = replace(attempts[3], error="RuntimeError: asked to")
    attempts.append(Run(2, 2, "worker1", at(2.7), at(2.8), None))
    effects = [
        Effect(n, n, False, start, start + timedelta(seconds=0.1))
        for n, (event, start) in enumerate(runs)
        if event.fate is Fate.DONE
    ]
    effects[2] = replace(effects[2], started_at=at(2.7), ended_at=at(2.8))
    effects[-3:] = [
        replace(effect, status_seen=status)
        for effect, status in zip(effects[-3:], ("sent", "read", "read"), strict=True)
    ]
    return Facts(
        expected=EXPECTED,
        sent=Sent(
            posts=10,
            tries=11,
            acknowledged=10,
            acknowledged_items=10,
            tried_items=11,
            forged=2,
            forged_acknowledged=0,
        ),
        deliveries=10,
        duplicates=2,
        events=events,
        attempts=[run for run in attempts if run.event_id != 4],
        effects=effects,
        statuses={"outgoing": Status("read", frozenset(("sent", "delivered", "read")))},
        waiting={"the journal": 0, "the queue webhooks": 0},
        dead_letters=1,
        kill=Kill("worker1", at(1)),
    )


def event(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another row of this event."""
    rows = [replace(row, **changes) if row.key == key else row for row in facts.events]  # type: ignore[arg-type]
    return replace(facts, events=rows)


def effect(facts: Facts, key: str, **changes: object) -> Facts:
    """The facts with another effect of this event."""
    number = facts.event_of[key].id
    rows = [replace(row, **changes) if row.event_id == number else row for row in facts.effects]  # type: ignore[arg-type]
    return replace(facts, effects=rows)


def without(facts: Facts, key: str) -> Facts:
    number = facts.event_of[key].id
    return replace(
        facts,
        events=[row for row in facts.events if row.id != number],
        effects=[row for row in facts.effects if row.event_id != number],
    )


def again(facts: Facts, key: str) -> Facts:
    """Its effect twice."""
    number = facts.event_of[key].id
    more = [replace(row, sequence=90) for row in facts.effects if row.event_id == number]
    return replace(facts, effects=[*facts.effects, *more])


def sent(facts: Facts, **changes: int) -> Facts:
    return replace(facts, sent=replace(facts.sent, **changes))


def interrupted(facts: Facts, again_after: float | None) -> Facts:
    """``first`` was interrupted by the kill, at second 1, and begun again so many seconds later."""
    rows = [replace(run, finished_at=None) if run.event_id == 0 else run for run in facts.attempts]
    if again_after is not None:
        rows.append(Run(0, 2, "worker2", at(1 + again_after), at(2 + again_after), None))
    return replace(facts, attempts=rows)


def late(facts: Facts, *, stored: float, marked: bool) -> Facts:
    """``first`` runs after ``second``: it was stored at ``stored`` (``second`` began at 1.5)."""
    moved = effect(facts, "first", sequence=1, started_at=at(1.65), ended_at=at(1.7), late=marked)
    moved = effect(moved, "second", sequence=0)
    return event(moved, "first", stored_at=at(stored))


def faults(facts: Facts) -> dict[str, list[str]]:
    return {judgement.promise: judgement.faults for judgement in judge(facts) if not judgement.kept}


def test_without_a_fault_every_promise_is_kept() -> None:
    assert faults(good()) == {}


BROKEN: list[tuple[str, Callable[[Facts], Facts], str]] = [
    ("Acked means stored", lambda f: without(f, "second"), "lost: second"),
    ("Acked means stored", lambda f: replace(f, deliveries=9), "9 deliveries are stored"),
    ("Acked means stored", lambda f: replace(f, deliveries=12), "12 deliveries are stored"),
    ("Acked means stored", lambda f: replace(f, duplicates=1), "1 duplicates are not the 10"),
    ("Acked means stored", lambda f: sent(f, posts=11), "1 posts never got a 200"),
    ("Stored means finished", lambda f: event(f, "second", state="pending"), "not finished: second"),
    ("Stored means finished", lambda f: replace(f, waiting={"the journal": 3}), "3 left in the journal"),
    ("Once", lambda f: again(f, "second"), "2 effects instead of 1: second"),
    ("Once", lambda f: effect(f, "second", event_id=0), "0 effects instead of 1: second"),
    ("Once", lambda f: effect(f, "second", event_id=4), "1 effects instead of 0: photo"),
    ("Once", lambda f: effect(f, "second", event_id=3), "1 effects instead of 0: dies"),
    ("Once", lambda f: effect(f, "second", event_id=77), "not stored: 77"),
    ("Once", lambda f: replace(f, events=[*f.events, f.events[0]]), "accepted 2 times: first"),
    ("In order", lambda f: effect(f, "second", started_at=at(0.55)), "at the same time: first and second"),
    ("In order", lambda f: late(f, stored=0, marked=False), "out of order: first ran after second"),
    ("In order", lambda f: late(f, stored=1.6, marked=False), "out of order: first ran after second"),
    ("In order", lambda f: late(f, stored=0.2, marked=True), "marked late, but was stored before second"),
    ("In order", lambda f: effect(f, "second", late=True), "marked late, but nothing later had run"),
    ("In order", lambda f: event(f, "second", occurred_at=at(1.2)), "another time than it was sent with"),
    ("In order", lambda f: event(f, "second", lane=2), f"split over several lanes: {CONVERSATION}"),
    (
        "In order",
        lambda f: effect(f, "sent", sequence=2, started_at=at(2.55), ended_at=at(2.6)),
        "did not wait: sent ran while fails was failing",
    ),
    (
        "Statuses never go back",
        lambda f: replace(f, statuses={"outgoing": Status("sent", frozenset(("sent", "delivered", "read")))}),
        "stands at sent instead of read",
    ),
    ("Statuses never go back", lambda f: replace(f, statuses={}), "no status is stored"),
    (
        "Statuses never go back",
        lambda f: replace(f, statuses={"outgoing": Status("read", frozenset(("sent", "read")))}),
        "has no time for delivered",
    ),
    (
        "Statuses never go back",
        lambda f: effect(f, "read", status_seen="delivered"),
        "went back from read to delivered",
    ),
    ("Nothing unsigned gets in", lambda f: sent(f, forged_acknowledged=1), "1 forged posts got a 200"),
    (
        "Nothing unsigned gets in",
        lambda f: replace(f, expected=[e for e in EXPECTED if e.key != "second"]),
        "nobody sent it under the right secret: second",
    ),
    (
        "Failure is loud",
        lambda f: event(f, "second", state="dead", error="X: y"),
        "unexpectedly: second: X: y",
    ),
    ("Failure is loud", lambda f: event(f, "dies", state="done"), "should have died: dies"),
    ("Failure is loud", lambda f: event(f, "dies", error=None), "died without a reason: dies"),
    ("Failure is loud", lambda f: replace(f, dead_letters=0), "holds 0 messages for 1"),
    (
        "Failure is loud",
        lambda f: replace(f, attempts=[run for run in f.attempts if run.event_id != 2]),
        "0 of 1 failures are written down: fails",
    ),
    ("A killed worker's event runs again", lambda f: interrupted(f, None), "never ran again: first"),
    (
        "A killed worker's event runs again",
        lambda f: interrupted(f, RECOVERY_SECONDS + 1),
        f"only after {RECOVERY_SECONDS + 1} s: first",
    ),
]


@pytest.mark.parametrize(("promise", "broken", "sentence"), BROKEN, ids=[case[2] for case in BROKEN])
def test_what_is_broken_is_named(promise: str, broken: Callable[[Facts], Facts], sentence: str) -> None:
    assert any(sentence in fault for fault in faults(broken(good()))[promise])


def test_an_event_that_was_stored_too_late_and_told_so_is_no_fault() -> None:
    assert faults(late(good(), stored=1.6, marked=True)) == {}


def test_an_event_that_ran_again_in_time_is_no_fault() -> None:
    assert "A killed worker's event runs again" not in faults(interrupted(good(), RECOVERY_SECONDS - 1))


def test_two_conversations_in_one_lane_are_named() -> None:
    facts = good()
    expected = [replace(e, conversation="200/US.2") if e.key == "photo" else e for e in EXPECTED]
    assert any("share lane 1" in fault for fault in faults(replace(facts, expected=expected))["In order"])
