"""The order of delivery ids is the order of acceptance, by Redis's clock."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import RFC_4122, UUID

from hypothesis import given
from hypothesis import strategies as st

from app.stores.delivery_id import DeliveryIds, accepted_at, accepted_ms

NS_PER_MS = 1_000_000
NOW_NS = 1_790_000_000_123_456_789


class Clock:
    """A local clock that is set by hand, in Unix nanoseconds."""

    def __init__(self, now: int = NOW_NS) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def pass_ms(self, milliseconds: int) -> None:
        self.now += milliseconds * NS_PER_MS


def test_an_id_is_a_uuid_of_version_7_that_tells_when() -> None:
    (text,) = DeliveryIds(Clock()).take(1)
    uuid = UUID(text)
    assert str(uuid) == text
    assert (uuid.version, uuid.variant) == (7, RFC_4122)
    assert accepted_ms(text) == accepted_ms(uuid) == 1_790_000_000_123
    assert accepted_at(text) == datetime.fromtimestamp(1_790_000_000, UTC).replace(microsecond=123_000)


def test_the_fraction_of_a_millisecond_orders_too() -> None:
    clock = Clock(NOW_NS // NS_PER_MS * NS_PER_MS + NS_PER_MS // 2)
    (text,) = DeliveryIds(clock).take(1)
    assert UUID(text).int >> 64 & 0xFFF == 4096 // 2


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(-5_000, 5_000)), max_size=20))
def test_ids_rise_however_the_clock_moves(steps: list[tuple[int, int]]) -> None:
    clock, taken = Clock(), []
    ids = DeliveryIds(clock)
    for count, milliseconds in steps:
        taken += ids.take(count)
        clock.pass_ms(milliseconds)
    assert taken == sorted(set(taken))


def test_ids_of_many_threads_are_all_different() -> None:
    ids = DeliveryIds()
    with ThreadPoolExecutor(8) as pool:
        taken = [each for batch in pool.map(lambda _: ids.take(5), range(400)) for each in batch]
    assert len(set(taken)) == 2_000


def test_two_webs_whose_clocks_differ_order_by_the_clock_of_redis() -> None:
    right, ahead = Clock(), Clock(NOW_NS + 5_000 * NS_PER_MS)
    first, second = DeliveryIds(right), DeliveryIds(ahead)
    for ids, clock in ((first, right), (second, ahead)):
        ids.sync_clock(NOW_NS, clock(), clock())
    taken = []
    for ids in (second, first, second, first):
        taken += ids.take(1)
        right.pass_ms(1)
        ahead.pass_ms(1)
    assert taken == sorted(taken)


def test_a_first_guess_that_was_far_ahead_is_given_up_at_the_first_answer() -> None:
    clock = Clock(NOW_NS + 3_600_000 * NS_PER_MS)
    ids = DeliveryIds(clock)
    ids.take(1)
    ids.sync_clock(NOW_NS, clock(), clock())
    assert accepted_ms(ids.take(1)[0]) == NOW_NS // NS_PER_MS


def test_after_the_first_answer_ids_rise_even_if_redis_goes_back_a_little() -> None:
    clock = Clock()
    ids = DeliveryIds(clock)
    ids.sync_clock(NOW_NS, clock(), clock())
    before = ids.take(1)
    ids.sync_clock(NOW_NS - 900 * NS_PER_MS, clock(), clock())
    assert before < ids.take(1)


def test_two_webs_order_by_the_clock_of_redis_also_when_it_is_set_back() -> None:
    clock = Clock()
    first, second = DeliveryIds(clock), DeliveryIds(clock)
    for ids in (first, second):
        ids.sync_clock(NOW_NS + 3_600_000 * NS_PER_MS, clock(), clock())
        ids.take(5)
        clock.pass_ms(100)
    for ids in (first, second):
        ids.sync_clock(clock(), clock(), clock())
    taken = []
    for ids in (second, first, second, first):
        taken += ids.take(1)
        clock.pass_ms(1)
    assert taken == sorted(taken)


def test_a_slow_answer_that_agrees_changes_nothing() -> None:
    clock = Clock()
    ids = DeliveryIds(clock)
    ids.sync_clock(NOW_NS, clock(), clock())
    asked = clock()
    clock.pass_ms(200)
    ids.sync_clock(NOW_NS + 10 * NS_PER_MS, asked, clock())
    assert accepted_ms(ids.take(1)[0]) == clock() // NS_PER_MS
