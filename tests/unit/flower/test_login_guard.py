"""How long an address waits after failed logins."""

from app.flower.login_guard import (
    FREE_FAILURES,
    MAX_ADDRESSES,
    MAX_WAIT_SECONDS,
    REMEMBERED_SECONDS,
    LoginGuard,
)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def fail(guard: LoginGuard, address: str, times: int) -> None:
    for _ in range(times):
        guard.count_failure(address)


def test_a_few_mistakes_cost_nothing() -> None:
    guard = LoginGuard(Clock())
    fail(guard, "192.0.2.1", FREE_FAILURES - 1)
    assert guard.wait_seconds("192.0.2.1") == 0


def test_each_further_one_doubles_the_wait_up_to_a_minute() -> None:
    clock = Clock()
    guard = LoginGuard(clock)
    fail(guard, "192.0.2.1", FREE_FAILURES)
    assert guard.wait_seconds("192.0.2.1") == 1
    clock.seconds += 1
    assert guard.wait_seconds("192.0.2.1") == 0
    fail(guard, "192.0.2.1", 1)
    assert guard.wait_seconds("192.0.2.1") == 2
    fail(guard, "192.0.2.1", 10_000)
    assert guard.wait_seconds("192.0.2.1") == MAX_WAIT_SECONDS
    assert guard.wait_seconds("192.0.2.2") == 0


def test_it_is_over_after_a_while() -> None:
    clock = Clock()
    guard = LoginGuard(clock)
    fail(guard, "192.0.2.1", 100)
    clock.seconds += REMEMBERED_SECONDS
    assert guard.count_failure("192.0.2.1") == 1


def test_addresses_of_one_ipv6_network_are_one() -> None:
    guard = LoginGuard(Clock())
    for number in range(FREE_FAILURES):
        guard.count_failure(f"2001:db8::{number:x}")
    assert guard.wait_seconds("2001:db8::ffff:1") > 0
    assert guard.wait_seconds("2001:db8:0:1::1") == 0
    assert guard.wait_seconds("::ffff:192.0.2.1") == 0


def test_memory_is_bounded() -> None:
    guard = LoginGuard(Clock())
    for number in range(MAX_ADDRESSES + 100):
        guard.count_failure(f"client-{number}")
    assert len(guard._failures) == MAX_ADDRESSES
