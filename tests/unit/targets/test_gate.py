"""How many attempts may begin: a breaker that opens and tries, a rate, throttling, and what is under way."""

from app.targets.gate import OPEN_SECONDS, TargetGate


def ended(gate: TargetGate, now: float, *failed: bool) -> None:
    for each in failed:
        gate.begin(1)
        gate.end(now, 0.1, failed=each)


def test_no_more_are_under_way_than_the_target_allows() -> None:
    gate = TargetGate(3)
    gate.begin(2)
    assert gate.room(0) == 1


def test_seven_of_ten_failures_open_the_breaker() -> None:
    gate = TargetGate(8)
    ended(gate, 0, *[True] * 6, *[False] * 3)
    assert gate.breaker(0) == "closed"
    ended(gate, 0, True)
    assert (gate.breaker(0), gate.room(0)) == ("open", 0)


def test_nine_failures_are_too_few_to_judge() -> None:
    gate = TargetGate(8)
    ended(gate, 0, *[True] * 9)
    assert gate.breaker(0) == "closed"


def test_failures_of_long_ago_count_no_more() -> None:
    gate = TargetGate(8)
    ended(gate, 0, *[True] * 9)
    ended(gate, 400, True)
    assert gate.breaker(400) == "closed"


def opened() -> TargetGate:
    gate = TargetGate(8)
    ended(gate, 0, *[True] * 10)
    return gate


def test_an_open_breaker_lets_one_attempt_try_after_a_while() -> None:
    gate = opened()
    assert gate.wait_seconds(1) == OPEN_SECONDS - 1
    assert (gate.breaker(OPEN_SECONDS), gate.room(OPEN_SECONDS)) == ("half-open", 1)
    gate.begin(1)
    assert gate.room(OPEN_SECONDS) == 0


def test_an_attempt_that_succeeds_closes_it() -> None:
    gate = opened()
    ended(gate, OPEN_SECONDS, False)
    assert (gate.breaker(OPEN_SECONDS), gate.room(OPEN_SECONDS)) == ("closed", 8)


def test_an_attempt_that_fails_opens_it_anew() -> None:
    gate = opened()
    ended(gate, OPEN_SECONDS, True)
    assert gate.breaker(OPEN_SECONDS + 1) == "open"
    assert gate.breaker(2 * OPEN_SECONDS) == "half-open"


def test_what_says_nothing_about_the_target_is_not_counted() -> None:
    gate = TargetGate(8)
    for _ in range(20):
        gate.begin(1)
        gate.end(0, 0.1, failed=None)
    assert (gate.counts(0), gate.room(0)) == ((0, 0), 8)


def test_a_target_that_is_throttled_is_left_alone() -> None:
    gate = TargetGate(8)
    gate.throttle(0, 10)
    assert (gate.room(9), gate.wait_seconds(9), gate.room(10)) == (0, 1, 8)


def test_a_rate_is_kept() -> None:
    gate = TargetGate(100, rate=40)
    begun = 0
    for tick in range(1000):
        now = tick / 100
        room = gate.room(now)
        gate.begin(room)
        gate.in_flight = 0
        begun += room
    assert 390 <= begun <= 411


def test_latency_is_that_of_the_last_answers() -> None:
    gate = TargetGate(8)
    for seconds in range(1, 101):
        gate.begin(1)
        gate.end(0, seconds / 100, failed=False)
    assert (gate.latency(0.5), gate.latency(0.99)) == (0.51, 1.0)
