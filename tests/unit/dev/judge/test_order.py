"""Two messages of one second: which of them had to run first, as far as the sender can know."""

from dataclasses import replace

from app.dev.judge import Entry, Facts, PastFault, order
from app.dev.judge.records import StoredAttempt, StoredEffect, StoredEvent, StoredJob
from app.dev.simulator import PlannedEvent, Try

SECOND = 1_790_000_000
LATER = 30.0  # after the second
Posts = tuple[tuple[float, int], ...]  # seconds after it, and the answer

FIRST: Posts = ((0.1, 200),)
BETWEEN: Posts = ((5.0, 200),)
AGAIN: Posts = ((0.1, 503), (10.0, 200))
TWICE: Posts = ((0.1, 200), (10.0, 200))


def planned(key: str, name: str = "") -> PlannedEvent:
    return PlannedEvent(key, "message", "text", "ada", SECOND, key, name=name)


def entry(key: str, posts: Posts, name: str = "") -> Entry:
    tries = [Try("web", SECOND + at, SECOND + at + 0.1, status) for at, status in posts]
    return Entry((planned(key, name),), tries)


def ran(first: str, second: str, posts: dict[str, Posts], deliveries: dict[str, str], **names: str) -> Facts:
    """Both were stored long before they ran, each in a delivery of this id."""
    events, jobs, attempts, effects = [], [], [], []
    for number, key in enumerate((first, second)):
        begun = SECOND + LATER + number
        events.append(StoredEvent(number, key, SECOND, deliveries[key], 0, SECOND + 20))
        jobs.append(StoredJob(number, number, "main", 1, "done", False, 1, None, begun + 0.5))
        attempts.append(StoredAttempt(number, 1, "worker1@host/7", begun, begun + 0.5, None))
        effects.append(StoredEffect(number, number, 1, False, begun + 0.1, begun + 0.4))
    entries = [entry(key, posts[key], names.get(key, "")) for key in sorted(posts)]
    return Facts(entries, 2, 0, events, jobs, attempts, effects, {})


def violations(facts: Facts) -> list[str]:
    checks = (order.conversations_have_a_lane_of_their_own, order.conversations_run_in_order)
    return [found.sentence for check in checks for found in check(facts) if found is not None]


def test_what_was_accepted_first_has_to_run_first() -> None:
    facts = ran("b", "a", {"a": FIRST, "b": BETWEEN}, {"a": "01", "b": "05"})
    assert violations(facts) == ["out of order: a, stored 10.000 s before b began"]


def test_also_when_a_wrong_clock_named_it() -> None:
    facts = ran("b", "a", {"a": FIRST, "b": BETWEEN}, {"a": "07", "b": "05"})
    assert violations(facts) == ["out of order: a, stored 10.000 s before b began"]


def test_an_event_whose_first_answer_was_lost_has_no_known_place_before_the_second() -> None:
    for first, second in ("ab", "ba"):
        assert violations(ran(first, second, {"a": AGAIN, "b": BETWEEN}, {"a": "01", "b": "05"})) == []


def test_an_event_that_was_stored_by_its_repeat_may_run_behind_what_came_between() -> None:
    assert violations(ran("b", "a", {"a": TWICE, "b": BETWEEN}, {"a": "10", "b": "05"})) == []


def test_an_event_that_was_stored_by_its_first_body_may_not() -> None:
    assert violations(ran("b", "a", {"a": TWICE, "b": BETWEEN}, {"a": "01", "b": "05"})) != []


def test_what_failed_in_the_place_of_its_repeat_did_not_have_to_be_waited_for() -> None:
    facts = ran("b", "a", {"a": AGAIN, "b": BETWEEN}, {"a": "01", "b": "05"})
    failed = StoredAttempt(1, 1, "worker1@host/7", SECOND + 25, SECOND + 25.1, "RuntimeError")
    again = replace(facts.attempts[1], number=2)
    effects = [facts.effects[0], replace(facts.effects[1], attempt=2)]
    facts = replace(facts, attempts=[facts.attempts[0], failed, again], effects=effects)
    assert violations(facts) == []
    first_body = replace(facts, entries=[entry("a", FIRST), entry("b", BETWEEN)])
    assert "did not wait: b ran while a was failing" in violations(first_body)


def test_what_was_accepted_before_and_after_the_clock_of_redis_was_set_has_no_order() -> None:
    facts = ran("b", "a", {"a": FIRST, "b": BETWEEN}, {"a": "01", "b": "05"})
    between = PastFault("valkey_behind", SECOND - 9, SECOND + 3, sets_clock=True)
    before = PastFault("valkey_behind", SECOND - 9, SECOND - 3, sets_clock=True)
    assert violations(replace(facts, faults=[between])) == []
    assert violations(replace(facts, faults=[before])) != []


def test_names_that_are_linked_later_have_an_order_of_their_own_and_one_lane() -> None:
    facts = ran("b", "a", {"a": FIRST, "b": BETWEEN}, {"a": "01", "b": "05"}, a="phone", b="user id")
    assert violations(facts) == []
    apart = [replace(job, lane=number) for number, job in enumerate(facts.jobs)]
    assert violations(replace(facts, jobs=apart)) == ["split over several lanes: ada in main"]
