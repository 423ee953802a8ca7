"""Targets: what was not received, came under a wrong id or too late, is named; so is a bot that waits for a target."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.dev.judge import Entry, Facts, PastFault, TargetCall, order, targets
from app.dev.judge.records import StoredAttempt, StoredEvent, StoredJob
from app.dev.simulator import PlannedEvent, Try

START = 1_790_000_000
KEYS = ("a", "b", "c")
LANE = "target:crm"
CHECKS = (
    targets.targets_get_every_event,
    targets.calls_are_those_of_their_job,
    targets.handlers_go_on_while_a_target_is_away,
    order.conversations_run_in_order,
)


def good() -> Facts:
    """Three events of one conversation; the answer to the first call for ``b`` was lost."""
    facts = Facts([], 3, 0, [], [], [], [], {}, calls={LANE: []})
    for number, key in enumerate(KEYS):
        at = START + number
        planned = PlannedEvent(key, "message", "text", "ada", at, key, targets=(LANE,))
        attempts = [StoredAttempt(10 + number, 1, "forwarder@host/7", at + 0.2, at + 0.4, None)]
        calls = [TargetCall(f"evt_{number}", number, at + 0.3)]
        if key == "b":
            attempts[0] = replace(attempts[0], error="no answer")
            attempts.append(StoredAttempt(10 + number, 2, "forwarder@host/7", at + 0.6, at + 0.8, None))
            calls.append(TargetCall(f"evt_{number}", number, at + 0.7))
        facts = replace(
            facts,
            entries=[*facts.entries, Entry((planned,), [Try("web", at, at + 0.1, 200)])],
            events=[*facts.events, StoredEvent(number, key, at, f"0{number}", 0, at + 0.1)],
            jobs=[
                *facts.jobs,
                StoredJob(number, number, "main", 1, "done", False, 1, None, at + 0.5),
                StoredJob(
                    10 + number, number, LANE, 2, "done", False, len(attempts), None, attempts[-1].finished_at
                ),
            ],
            attempts=[*facts.attempts, *attempts],
            calls={LANE: [*facts.calls[LANE], *calls]},
        )
    return facts


def without(facts: Facts, event_id: int) -> Facts:
    return replace(facts, calls={LANE: [call for call in facts.calls[LANE] if call.event_id != event_id]})


def called(facts: Facts, event_id: int, at: float, id_: str = "") -> Facts:
    """The facts with one more call."""
    call = TargetCall(id_ or f"evt_{event_id}", event_id, START + at)
    return replace(facts, calls={LANE: [*facts.calls[LANE], call]})


def job(facts: Facts, number: int, **changes: object) -> Facts:
    rows = [replace(row, **changes) if row.id == number else row for row in facts.jobs]  # type: ignore[arg-type]
    return replace(facts, jobs=rows)


def overtaking(facts: Facts) -> Facts:
    """``c`` is posted between the two attempts of ``b``."""
    rows = [
        replace(row, started_at=START + 1.45, finished_at=START + 1.55) if row.job_id == 12 else row
        for row in facts.attempts
    ]
    return replace(facts, attempts=rows)


def held(facts: Facts) -> Facts:
    """The bot goes on only after a target that was away for two minutes."""
    for number in range(len(KEYS)):
        facts = job(facts, number, finished_at=START + 130.0)
    return replace(facts, faults=[PastFault(targets.AWAY, START - 1.0, START + 119.0)])


BROKEN: list[tuple[Callable[[Facts], Facts], str]] = [
    (lambda f: without(f, 2), "was not received: c in target:crm"),
    (lambda f: job(f, 12, state="dead"), "is dead: c in target:crm"),
    (lambda f: called(f, 0, 1.25), "was posted in target:crm while its job was not under way: a"),
    (lambda f: called(f, 2, 2.3, "evt_other"), "has 2 ids in target:crm: c"),
    (lambda f: called(f, 2, 2.3, "evt_0"), "id evt_0 is not that of one event in target:crm: a"),
    (lambda f: called(f, 77, 2.3), "id evt_77 is not that of one event in target:crm: event 77"),
    (overtaking, "did not wait: c in target:crm ran while b in target:crm was failing"),
    (held, "nothing was completed in main while a target was away"),
]


def violations(facts: Facts) -> list[str]:
    return [found.sentence for check in CHECKS for found in check(facts) if found is not None]


def test_at_least_once_in_order_is_right() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(("broken", "sentence"), BROKEN, ids=[case[1] for case in BROKEN])
def test_what_is_broken_is_named(broken: Callable[[Facts], Facts], sentence: str) -> None:
    assert sentence in violations(broken(good()))


@pytest.mark.parametrize("at", [1.0, 0.4], ids=["before the crash", "on its way at the crash"])
def test_what_a_crash_of_postgres_took_back_may_come_again(at: float) -> None:
    crash = PastFault("kill_postgres", START + at, START + 2.0, loses_commits=True)
    facts = called(good(), 2, 0.5)  # its job began anew at 2.2
    assert violations(facts) != []
    assert violations(replace(facts, faults=[crash])) == []


def test_what_a_stopped_forwarder_posts_when_it_goes_on_is_not_judged() -> None:
    stop = PastFault(targets.STOPPED, START + 0.5, START + 4.0)
    facts = called(good(), 0, 4.5)
    assert violations(facts) != []
    assert violations(replace(facts, faults=[stop])) == []


def test_a_bot_that_goes_on_meanwhile_is_no_fault() -> None:
    facts = held(good())
    assert violations(job(facts, 0, finished_at=START + 0.5)) == []
