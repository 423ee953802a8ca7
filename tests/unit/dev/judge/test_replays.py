"""Replays beside live traffic: what a replay left out, made twice or ran too early is named."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from app.dev.judge import Entry, Facts, comes_back, order, replays
from app.dev.judge.facts import PastFault
from app.dev.judge.records import StoredAttempt, StoredEffect, StoredEvent, StoredJob, StoredReplay
from app.dev.simulator import PlannedEvent, Try

START = 1_790_000_000
REPLAYED_AT = START + 60.0
KEYS = ("a", "b", "c")  # a second apart
CHECKS = (
    replays.replays_make_their_jobs,
    order.conversations_have_a_lane_of_their_own,
    order.conversations_run_in_order,
)


def ran(facts: Facts, number: int, event: int, lane_name: str, at: float, replay: int | None = None) -> Facts:
    """The facts with one more job, which ran for half a second."""
    lane = 1 if lane_name == "main" else 2
    job = StoredJob(number, event, lane_name, lane, "done", False, 1, None, at + 0.5, replay)
    attempt = StoredAttempt(number, 1, "worker1@host/7", at, at + 0.5, None)
    effect = StoredEffect(number, number, 1, False, at + 0.1, at + 0.4)
    return replace(
        facts,
        jobs=[*facts.jobs, job],
        attempts=[*facts.attempts, attempt],
        effects=[*facts.effects, effect],
    )


def good() -> Facts:
    """Three events of one conversation in two lane names, and a replay of all in one of them."""
    facts = Facts([], 3, 0, [], [], [], [], {})
    entries, events = [], []
    for number, key in enumerate(KEYS):
        at = START + number
        planned = PlannedEvent(key, "message", "text", "ada", at, key, lane_names=("main", "crm"))
        entries.append(Entry((planned,), [Try("web", at, at + 0.1, 200)]))
        events.append(StoredEvent(number, key, at, str(UUID(int=at * 1000 << 80)), 0, at + 0.2))
    facts = replace(facts, entries=entries, events=events)
    for number in range(len(KEYS)):
        facts = ran(facts, number, number, "main", START + number + 0.3)
        facts = ran(facts, 10 + number, number, "crm", START + number + 0.3)
        facts = ran(facts, 20 + number, number, "crm", REPLAYED_AT + number, replay=1)
    return replace(facts, replays=[StoredReplay(1, REPLAYED_AT, START, START + 30, "crm", 3, True)])


def without(facts: Facts, number: int) -> Facts:
    return replace(
        facts,
        jobs=[job for job in facts.jobs if job.id != number],
        attempts=[attempt for attempt in facts.attempts if attempt.job_id != number],
        effects=[effect for effect in facts.effects if effect.job_id != number],
    )


def counted(facts: Facts, jobs: int) -> Facts:
    return replace(facts, replays=[replace(facts.replays[0], jobs=jobs)])


def swapped(facts: Facts) -> Facts:
    """The first two of the replay ran the other way round."""
    facts = without(without(facts, 20), 21)
    facts = ran(facts, 20, 0, "crm", REPLAYED_AT + 1, replay=1)
    return ran(facts, 21, 1, "crm", REPLAYED_AT, replay=1)


def overtaking(facts: Facts) -> Facts:
    """The live job of ``a`` in the lane of the replay runs only behind the replay of ``b``."""
    facts = counted(without(without(facts, 10), 20), 2)
    return ran(facts, 10, 0, "crm", REPLAYED_AT + 10)


BROKEN: list[tuple[Callable[[Facts], Facts], str]] = [
    (lambda f: counted(without(f, 21), 2), "replay 1 left it out in crm: b"),
    (lambda f: without(f, 21), "replay 1 counts 3 jobs, and has 2"),
    (lambda f: counted(ran(f, 31, 1, "crm", REPLAYED_AT + 5, 1), 4), "replay 1 has 2 jobs in crm: b"),
    (lambda f: counted(ran(f, 31, 1, "main", REPLAYED_AT + 5, 1), 4), "replay 1 did not name it: b"),
    (
        lambda f: replace(f, replays=[replace(f.replays[0], since=START + 0.5)]),
        "replay 1 did not name it: a",
    ),
    (swapped, "out of order: a in crm (replay 1), stored 59.800 s before b in crm (replay 1) began"),
    (overtaking, "ran before an older one that had waited 60.800 s: b in crm (replay 1), a in crm"),
    (lambda f: ran(without(f, 11), 11, 1, "crm", REPLAYED_AT + 0.2), "ran at the same time"),
    (
        lambda f: replace(f, jobs=[replace(job, lane=1) for job in f.jobs]),
        "two conversations or lane names share lane 1",
    ),
    (
        lambda f: replace(f, jobs=[replace(job, lane=9) if job.id == 20 else job for job in f.jobs]),
        "split over several lanes: ada in crm",
    ),
]


def violations(facts: Facts) -> list[str]:
    return [found.sentence for check in CHECKS for found in check(facts) if found is not None]


def test_a_replay_of_everything_in_its_order_is_right() -> None:
    assert violations(good()) == []


@pytest.mark.parametrize(("broken", "sentence"), BROKEN, ids=[case[1] for case in BROKEN])
def test_what_is_broken_is_named(broken: Callable[[Facts], Facts], sentence: str) -> None:
    assert any(sentence in found for found in violations(broken(good())))


def test_what_is_dead_or_waited_while_the_replay_was_made_is_left_alone() -> None:
    facts = counted(without(good(), 21), 2)
    for changes in ({"state": "dead"}, {"finished_at": REPLAYED_AT + 1}):
        jobs = [replace(job, **changes) if job.id == 11 else job for job in facts.jobs]  # type: ignore[arg-type]
        assert list(replays.replays_make_their_jobs(replace(facts, jobs=jobs))) == [None, None]


def test_a_replay_that_did_not_get_to_its_end_may_leave_some_out() -> None:
    facts = counted(without(good(), 21), 2)
    stopped = replace(facts, replays=[replace(facts.replays[0], finished=False)])
    assert violations(stopped) == []


def test_a_lane_that_stands_still_is_not_hidden_by_another_that_goes_on() -> None:
    facts = good()
    fault = PastFault("kill_worker", START + 0.5, START + 1.0)
    late = [
        replace(job, finished_at=START + 200.0) if job.lane_name == "main" and job.event_id else job
        for job in facts.jobs
    ]
    (found,) = comes_back.returns(replace(facts, jobs=late, faults=[fault]))
    assert found.lane_name == "main"
    assert found.seconds == pytest.approx(198.9)
