"""Two doors: the journal, and Postgres while the journal cannot take anything."""

from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import OperationalError

from app.intake.accept import PROBE_SECONDS, Intake, Unavailable
from tests.helpers.loop import Blocking

POSTGRES_IS_AWAY = OperationalError("INSERT", {}, Exception("gone"))


class FakeDoor:
    """Keeps what it is given, or raises ``error``."""

    def __init__(self) -> None:
        self.tried = 0
        self.deliveries: list[tuple[str, bytes]] = []
        self.error: Exception | None = None

    async def first(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """On the loop."""
        self.second(deliveries)

    def second(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """In a thread."""
        self.tried += 1
        if self.error is not None:
            raise self.error
        self.deliveries += deliveries

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body in self.deliveries]


class Clock:
    """Seconds, set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def first() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def second() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def intake(first: FakeDoor, second: FakeDoor, clock: Clock) -> Blocking:
    return Blocking(Intake(first.first, second.second, clock))


def test_a_body_goes_through_the_first_door_only(intake: Blocking, first: FakeDoor, second: FakeDoor) -> None:
    intake.accept(b"body")
    assert (first.bodies, second.bodies) == ([b"body"], [])


def test_ids_rise_in_the_order_of_acceptance(intake: Blocking, first: FakeDoor) -> None:
    for number in range(50):
        intake.accept(b"%d" % number)
    ids = [delivery_id for delivery_id, _ in first.deliveries]
    assert ids == sorted(ids)
    assert first.bodies == [b"%d" % number for number in range(50)]


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("refused"),
        RedisTimeoutError("no answer"),
        OutOfMemoryError("OOM command not allowed"),
        ReadOnlyError("READONLY"),
        ResponseError("MISCONF Errors writing to the AOF file"),
        RuntimeError("a fault of our own"),
    ],
)
def test_whatever_fails_at_the_first_door_the_second_takes_the_body(
    intake: Blocking, first: FakeDoor, second: FakeDoor, error: Exception
) -> None:
    first.error = error
    intake.accept(b"body")
    assert second.bodies == [b"body"]


def test_after_a_failure_the_next_ones_do_not_wait_for_the_first_door(
    intake: Blocking, first: FakeDoor, second: FakeDoor, clock: Clock
) -> None:
    first.error = RedisTimeoutError("no answer")
    for body in (b"1", b"2", b"3"):
        intake.accept(body)
        clock.now += PROBE_SECONDS / 10
    assert first.tried == 1
    assert second.bodies == [b"1", b"2", b"3"]


def test_the_first_door_is_tried_once_a_second_and_used_when_it_is_back(
    intake: Blocking, first: FakeDoor, second: FakeDoor, clock: Clock
) -> None:
    first.error = RedisTimeoutError("no answer")
    for _ in range(2):
        intake.accept(b"through the second")
        clock.now += PROBE_SECONDS
    assert first.tried == 2
    first.error = None
    for _ in range(3):
        intake.accept(b"through the first")
    assert first.bodies == [b"through the first"] * 3
    assert len(second.bodies) == 2


def test_a_body_that_neither_store_takes_is_not_accepted(
    intake: Blocking, first: FakeDoor, second: FakeDoor, clock: Clock
) -> None:
    first.error, second.error = RedisConnectionError("refused"), POSTGRES_IS_AWAY
    with pytest.raises(Unavailable):
        intake.accept(b"body")
    second.error = None
    intake.accept(b"sent again")
    assert second.bodies == [b"sent again"]


def test_what_went_through_both_doors_has_one_id(first: FakeDoor, second: FakeDoor) -> None:
    """A write to Redis that was given up may have happened."""

    async def late(deliveries: Sequence[tuple[str, bytes]]) -> None:
        await first.first(deliveries)
        raise RedisTimeoutError("no answer")

    Blocking(Intake(late, second.second)).accept(b"body")
    assert first.deliveries == second.deliveries
