"""When a failed attempt is followed by another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Permanent, RetryAfter
from app.handlers.retry import RetryPolicy, decide

POLICY = RetryPolicy(max_attempts=4, base_seconds=2, cap_seconds=10)


def upper_bound(least: float, most: float) -> float:
    return most


def test_the_longest_wait_doubles_from_attempt_to_attempt_up_to_the_cap() -> None:
    policy = RetryPolicy(max_attempts=100, base_seconds=2, cap_seconds=10)
    waits = [decide(policy, attempt, ValueError(), upper_bound).after_seconds for attempt in (1, 2, 3, 4, 99)]
    assert waits == [2, 4, 8, 10, 10]


@given(attempt=st.integers(1, 3))
def test_the_wait_is_anything_between_nothing_and_the_longest(attempt: int) -> None:
    after = decide(POLICY, attempt, ValueError()).after_seconds
    assert after is not None
    assert 0 <= after <= POLICY.base_seconds * 2 ** (attempt - 1)


def test_however_many_attempts_there_were_the_wait_can_be_computed() -> None:
    policy = RetryPolicy(max_attempts=1000)
    assert decide(policy, 999, ValueError(), upper_bound).after_seconds == policy.cap_seconds


@pytest.mark.parametrize(("attempt", "dead"), [(3, False), (4, True), (5, True)])
def test_the_last_attempt_that_a_policy_allows_is_followed_by_none(attempt: int, dead: bool) -> None:
    assert decide(POLICY, attempt, ValueError()).dead is dead


def test_a_permanent_error_is_followed_by_none() -> None:
    assert decide(POLICY, 1, Permanent("no such user")).dead


def test_a_handler_may_say_how_long_to_wait_beyond_the_cap() -> None:
    assert decide(POLICY, 1, RetryAfter(600)).after_seconds == 600


def test_a_handler_that_says_how_long_to_wait_gets_no_more_attempts_than_others() -> None:
    assert decide(POLICY, 4, RetryAfter(600)).dead


@pytest.mark.parametrize("seconds", [-5.0, float("nan"), float("inf"), 1e300])
def test_a_senseless_time_to_wait_becomes_one_that_can_be_kept(seconds: float) -> None:
    after = decide(POLICY, 1, RetryAfter(seconds)).after_seconds
    assert after is not None
    assert 0 <= after <= 366 * 24 * 3600


@pytest.mark.parametrize(
    "wrong", [{"max_attempts": 0}, {"base_seconds": 0}, {"base_seconds": -1}, {"cap_seconds": 0}]
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryPolicy(**wrong)
