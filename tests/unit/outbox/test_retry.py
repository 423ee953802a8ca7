"""What becomes of a send by what its answer says."""

import pytest

from app.graph import Accepted, NotSent, Remedy, Unknown
from app.outbox.retry import CAP_SECONDS, MAX_SECONDS_TRIED, judge


def middle(low: float, high: float) -> float:
    return (low + high) / 2


def test_what_was_accepted_is_accepted() -> None:
    assert judge(Accepted("wamid.X"), 3, 1).state == "accepted"


def test_what_may_have_been_sent_is_never_sent_again() -> None:
    assert judge(Unknown("ReadTimeout"), 1, 0).state == "unknown"


def test_pauses_grow_up_to_a_bound() -> None:
    answer = NotSent(Remedy.AGAIN, "down")
    waits = [judge(answer, attempt, 0, middle).after_seconds for attempt in (1, 2, 5, 20, 900)]
    assert waits == sorted(waits)
    assert max(waits) <= CAP_SECONDS


def test_a_pair_waits_as_meta_says() -> None:
    answer = NotSent(Remedy.WAIT_PAIR, "pair rate", 131056)
    decisions = [judge(answer, attempt, 0) for attempt in (1, 2, 3)]
    assert [each.after_seconds for each in decisions] == [1, 4, 16]
    assert all(each.pauses_number_seconds == 0 for each in decisions)


def test_a_throttled_number_pauses_as_long_as_meta_asks() -> None:
    decision = judge(NotSent(Remedy.THROTTLE, "too fast", 130429, 7.0), 1, 0)
    assert (decision.state, decision.after_seconds, decision.pauses_number_seconds) == ("queued", 7.0, 7.0)


def test_a_refused_token_costs_no_attempt() -> None:
    decision = judge(NotSent(Remedy.STOP, "expired", 190), 1, MAX_SECONDS_TRIED * 2)
    assert (decision.state, decision.costs_nothing, decision.stops_number) == ("queued", True, True)


@pytest.mark.parametrize("remedy", [Remedy.AGAIN, Remedy.THROTTLE, Remedy.WAIT_PAIR])
def test_after_a_day_it_is_given_up(remedy: Remedy) -> None:
    assert judge(NotSent(remedy, "down"), 1, MAX_SECONDS_TRIED + 1).state == "dead"


def test_what_cannot_help_is_dead_at_once() -> None:
    decision = judge(NotSent(Remedy.DEAD, "(131026) undeliverable", 131026), 1, 0)
    assert (decision.state, decision.code) == ("dead", 131026)
