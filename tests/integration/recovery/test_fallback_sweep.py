"""Deliveries in the fallback store come in, oldest first, in bounded numbers and bytes."""

import json

import pytest

from app.recovery import sweeper
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body

pytestmark = pytest.mark.core(messages="noted")


# The fallback store


def stored(core: Core) -> list[str]:
    with core.engine.connect() as connection:
        return [str(delivery.id) for delivery in sweeper.stored_deliveries(connection)]


def test_deliveries_in_the_fallback_store_come_oldest_first(core: Core) -> None:
    old, older = (core.accept_in_fallback_store(text_body(words), age) for words, age in (("a", 5), ("b", 9)))
    assert stored(core) == [older, old]


def test_deliveries_in_the_fallback_store_are_taken_in_bounded_numbers_and_bytes(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "STORED_AT_ONCE", 3)
    monkeypatch.setattr(sweeper, "STORED_BYTES_AT_ONCE", 100)
    ids = [core.accept_in_fallback_store(b"x" * 60, 10 - nth) for nth in range(3)]
    assert stored(core) == ids[:2]
    core.execute("UPDATE deliveries SET body = 'x'")
    core.accept_in_fallback_store(b"y")
    assert stored(core) == ids


def test_a_delivery_larger_than_the_bound_is_taken_alone(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeper, "STORED_BYTES_AT_ONCE", 10)
    large = core.accept_in_fallback_store(b"x" * 1000, 2)
    core.accept_in_fallback_store(b"y", 1)
    assert stored(core) == [large]


def test_a_delivery_that_came_through_both_doors_is_one(core: Core) -> None:
    (id_,) = core.accept(text_body("a"))
    core.execute(
        "INSERT INTO deliveries (id, accepted_at, door, state, body) "
        "VALUES (:id, clock_timestamp(), 'postgres', 'stored', :body)",
        id=id_,
        body=f.wire(text_body("a")),
    )
    core.ingest_waiting()
    assert stored(core) == []
    assert core.states() == {"pending": 1}
    assert json.loads(core.event("a").payload)["item"]["id"] == f.wamid("a")
