"""What becomes of an attempt by its answer: pauses that grow, Retry-After, and an end after eight days."""

from datetime import UTC, datetime

import pytest

from app.targets.answers import CAP_SECONDS, KEPT_BYTES, TargetAnswer, backoff, judge

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def no_jitter(_low: float, _high: float) -> float:
    return 0.0


def after(answer: TargetAnswer, attempt: int = 1) -> float:
    return judge(answer, attempt, 0, NOW, no_jitter).after_seconds


@pytest.mark.parametrize("status", [200, 201, 204])
def test_any_2xx_is_done(status: int) -> None:
    assert judge(TargetAnswer(status), 1, 0).next == "done"


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_what_is_no_2xx_is_tried_again(status: int) -> None:
    assert judge(TargetAnswer(status), 1, 0).next == "again"


def test_a_redirect_is_no_success_and_says_what_to_do() -> None:
    assert "write the final address into url" in (judge(TargetAnswer(302), 1, 0).error or "")


def test_pauses_grow_from_five_seconds_to_a_day() -> None:
    failed = TargetAnswer(500)
    assert [after(failed, attempt) for attempt in (1, 2, 3, 4, 30)] == [5, 15, 45, 135, CAP_SECONDS]


def test_jitter_is_added_and_never_taken_away() -> None:
    assert all(5 <= backoff(1) <= 6 for _ in range(100))


def test_what_fails_for_eight_days_is_dead() -> None:
    assert judge(TargetAnswer(500), 14, 8 * 86400 + 1).next == "dead"
    assert judge(TargetAnswer(500), 14, 8 * 86400 - 1).next == "again"


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("30", 30.0),
        ("0", 0.0),
        ("99999999999999999999", CAP_SECONDS),
        ("Sun, 29 Nov 2026 12:01:00 GMT", 60.0),
        ("Sun, 29 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", 5.0),
        ("-5", 5.0),
    ],
)
def test_retry_after_is_obeyed_in_seconds_and_as_a_date_within_bounds(asked: str, seconds: float) -> None:
    assert after(TargetAnswer(503, retry_after=asked)) == seconds


def test_a_date_counts_by_the_clock_of_the_target_that_wrote_it() -> None:
    ahead = TargetAnswer(
        503, retry_after="Sun, 29 Nov 2026 15:00:30 GMT", date="Sun, 29 Nov 2026 15:00:00 GMT"
    )
    assert after(ahead) == 30


@pytest.mark.parametrize("status", [429, 502, 504])
def test_some_answers_throttle_the_whole_target(status: int) -> None:
    assert judge(TargetAnswer(status), 1, 0, NOW, no_jitter).throttle_seconds == 5
    assert judge(TargetAnswer(500), 1, 0, NOW, no_jitter).throttle_seconds == 0


def test_a_target_that_is_gone_is_stopped_at_no_cost() -> None:
    decision = judge(TargetAnswer(410), 1, 0)
    assert (decision.next, decision.costs_nothing) == ("stop", True)


def test_of_an_answer_its_beginning_is_kept() -> None:
    assert TargetAnswer(200).kept is None
    assert len(TargetAnswer(500, body=b"x" * 100_000).kept or "") == KEPT_BYTES + len("500 ")
    assert TargetAnswer(500, body=b"\x00\xff").kept == "500 \ufffd\ufffd"
