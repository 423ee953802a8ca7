"""Which lanes a worker keeps, renews and gives back."""

from typing import Any

from app.lanes.claimed import (
    PATIENCE_SECONDS,
    ROUND_SECONDS,
    Claimed,
    ClaimedLane,
    lanes_to_give_back,
    lanes_to_renew,
)

NO_CLAIM: Any = None
NOW = 100.0


def lanes(*numbers: int) -> list[ClaimedLane]:
    return [ClaimedLane(number, NO_CLAIM) for number in numbers]


def claimed(*numbers: int, started: int = 1) -> Claimed:
    """These lanes claimed at NOW, of which so many were started, and all but the last of those have ended."""
    made = Claimed()
    made.add(lanes(*numbers), NOW)
    for number in range(started):
        if number:
            made.end(made.running[0])
        made.start_next(NOW)
    return made


def test_while_all_is_quick_nothing_is_given_back() -> None:
    assert lanes_to_give_back(NOW + PATIENCE_SECONDS, claimed(1, 2)) == []


def test_behind_a_slow_lane_all_others_are_given_back_the_finished_too() -> None:
    late = NOW + PATIENCE_SECONDS + 0.01
    assert lanes_to_give_back(late, claimed(1, 2, 3, started=2)) == lanes(3, 1)


def test_behind_many_quick_lanes_the_others_are_given_back_too() -> None:
    made = claimed(1, 2, 3)
    late = NOW + ROUND_SECONDS + 0.01
    made.end(made.running[0])
    made.start_next(late)
    assert lanes_to_give_back(late, made) == lanes(3, 1)


def test_with_nothing_running_nothing_is_given_back() -> None:
    assert lanes_to_give_back(NOW + 60, claimed(1, 2, started=0)) == []


def test_the_running_lane_is_renewed_until_its_deadline_and_the_others_always() -> None:
    made = claimed(1, 2, 3, started=2)
    made.renew_until = NOW + 10
    assert lanes_to_renew(NOW + 9, made) == lanes(3, 1, 2)
    assert lanes_to_renew(NOW + 10, made) == lanes(3, 1)


def test_of_lanes_that_run_together_none_is_given_back() -> None:
    made = claimed(1, 2, 3)
    made.start_next(NOW)
    assert lanes_to_give_back(NOW + PATIENCE_SECONDS + 0.01, made) == lanes(3)
    made.renew_until = NOW + 10
    assert lanes_to_renew(NOW + 9, made) == lanes(3, 1, 2)
