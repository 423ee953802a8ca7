"""Two stores: the journal, and Postgres while the journal cannot take anything."""

from collections.abc import Sequence

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import OperationalError

from app.intake.accept import PROBE_SECONDS, Intake, Unavailable
from tests.helpers.loop import Blocking

POSTGRES_IS_AWAY = OperationalError("INSERT", {}, Exception("gone"))


class FakeStore:
    """Keeps what it is given, or raises ``error``."""

    def __init__(self) -> None:
        self.tried = 0
        self.deliveries: list[tuple[str, bytes]] = []
        self.error: Exception | None = None

    async def write_on_loop(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
        """On the loop."""
        self.write(deliveries)

    def write(self, deliveries: Sequence[tuple[str, bytes]]) -> None:
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
def primary() -> FakeStore:
    return FakeStore()


@pytest.fixture
def fallback() -> FakeStore:
    return FakeStore()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def intake(primary: FakeStore, fallback: FakeStore, clock: Clock) -> Blocking:
    return Blocking(Intake(primary.write_on_loop, fallback.write, clock))


def test_a_body_goes_to_the_primary_store_only(
    intake: Blocking, primary: FakeStore, fallback: FakeStore
) -> None:
    intake.accept(b"body")
    assert (primary.bodies, fallback.bodies) == ([b"body"], [])


def test_ids_rise_in_the_order_of_acceptance(intake: Blocking, primary: FakeStore) -> None:
    for number in range(50):
        intake.accept(b"%d" % number)
    ids = [delivery_id for delivery_id, _ in primary.deliveries]
    assert ids == sorted(ids)
    assert primary.bodies == [b"%d" % number for number in range(50)]


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
def test_whatever_fails_in_the_primary_store_the_fallback_takes_the_body(
    intake: Blocking, primary: FakeStore, fallback: FakeStore, error: Exception
) -> None:
    primary.error = error
    intake.accept(b"body")
    assert fallback.bodies == [b"body"]


def test_after_a_failure_the_next_ones_do_not_wait_for_the_primary_store(
    intake: Blocking, primary: FakeStore, fallback: FakeStore, clock: Clock
) -> None:
    primary.error = RedisTimeoutError("no answer")
    for body in (b"1", b"2", b"3"):
        intake.accept(body)
        clock.now += PROBE_SECONDS / 10
    assert primary.tried == 1
    assert fallback.bodies == [b"1", b"2", b"3"]


def test_the_primary_store_is_tried_once_a_second_and_used_when_it_is_back(
    intake: Blocking, primary: FakeStore, fallback: FakeStore, clock: Clock
) -> None:
    primary.error = RedisTimeoutError("no answer")
    for _ in range(2):
        intake.accept(b"to the fallback")
        clock.now += PROBE_SECONDS
    assert primary.tried == 2
    primary.error = None
    for _ in range(3):
        intake.accept(b"to the primary")
    assert primary.bodies == [b"to the primary"] * 3
    assert len(fallback.bodies) == 2


def test_a_body_that_neither_store_takes_is_not_accepted(
    intake: Blocking, primary: FakeStore, fallback: FakeStore, clock: Clock
) -> None:
    primary.error, fallback.error = RedisConnectionError("refused"), POSTGRES_IS_AWAY
    with pytest.raises(Unavailable):
        intake.accept(b"body")
    fallback.error = None
    intake.accept(b"sent again")
    assert fallback.bodies == [b"sent again"]


def test_what_both_stores_took_has_one_id(primary: FakeStore, fallback: FakeStore) -> None:
    """A write to Redis that was given up may have happened."""

    async def late(deliveries: Sequence[tuple[str, bytes]]) -> None:
        await primary.write_on_loop(deliveries)
        raise RedisTimeoutError("no answer")

    Blocking(Intake(late, fallback.write)).accept(b"body")
    assert primary.deliveries == fallback.deliveries
