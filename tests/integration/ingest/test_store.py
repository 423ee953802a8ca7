"""Deliveries become events: each item once, whatever it holds, whoever dies in between."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from app.ingest import store as module
from app.recovery import sweeper
from app.stores.delivery_id import ids
from tests.helpers import factories as f
from tests.helpers.core import (
    LEASE_SECONDS,
    WAIT_SECONDS,
    Core,
    Killed,
    delivery_id_at,
    key_of,
    raw,
    text_body,
)
from tests.integration.ingest.splitting import deliveries, journal, keys

pytestmark = pytest.mark.core(messages="noted")

ROUNDS = 15

ACCEPTED_MS = 1_790_000_000_000


# Once


def test_what_is_ingested_leaves_the_journal_and_wakes_its_lanes(core: Core) -> None:
    core.accept(text_body("a", "b"), text_body("c", sender=2))
    assert journal(core) == (2, 2)
    (result,) = core.ingest_waiting()
    assert journal(core) == (0, 0)
    assert sorted(core.wakes_in_queue()) == sorted(result.lanes)
    assert deliveries(core) == [("split", 2, 0), ("split", 1, 0)]


def test_an_event_is_accepted_once_within_a_body(core: Core) -> None:
    core.ingest(text_body("a", "a", "b"))
    assert keys(core) == sorted([key_of("a"), key_of("b")])
    assert deliveries(core) == [("split", 2, 1)]
    core.run()
    assert core.seen == ["a", "b"]


def test_an_event_is_accepted_once_across_deliveries(core: Core) -> None:
    core.ingest(text_body("a"), text_body("a"))
    core.run()
    again = core.ingest(text_body("a"))
    assert (again.lanes, core.wakes_in_queue()) == (set(), [])
    assert deliveries(core) == [("split", 1, 0), ("split", 0, 1), ("split", 0, 1)]
    assert core.seen == ["a"]


def test_an_event_is_accepted_once_by_two_ingests_at_the_same_moment(core: Core) -> None:
    together = threading.Barrier(2)

    def store(number: int) -> int:
        together.wait(WAIT_SECONDS)
        return sum(
            row.id is not None for row in core.ingest(text_body(*map(str, range(number, number + 5)))).rows
        )

    with ThreadPoolExecutor() as threads:
        for number in range(ROUNDS):
            accepted = list(threads.map(store, [number * 5, number * 5]))
            assert sum(accepted) == 5
    core.run()
    assert sorted(core.seen, key=int) == [str(number) for number in range(5 * ROUNDS)]


def test_two_ingests_with_the_same_events_in_opposite_order_never_wait_for_each_other_in_a_circle(
    core: Core,
) -> None:
    together = threading.Barrier(2)

    def contents(number: int) -> list[f.Json]:
        people = range(number * 4, number * 4 + 4)
        messages = [text_body(f"{person}", sender=person) for person in people]
        statuses = [
            f.body(f.statuses(f.status("read", number=person, recipient=person))) for person in people
        ]
        return messages + statuses

    def store(bodies: list[f.Json]) -> None:
        together.wait(WAIT_SECONDS)
        core.ingest(*bodies)

    with ThreadPoolExecutor() as threads:
        for number in range(ROUNDS):
            bodies = contents(number)
            list(threads.map(store, [bodies, bodies[::-1]]))
    assert core.value("SELECT count(*) FROM event_jobs") == ROUNDS * 8
    assert core.value("SELECT count(*) FROM conversations") == ROUNDS * 4


@pytest.mark.parametrize("timestamp", [str(f.NOW), None], ids=["with a time", "without a time"])
def test_a_duplicate_that_was_accepted_earlier_takes_the_earlier_place(
    core: Core, timestamp: str | None
) -> None:
    """Two ingest processes may commit two deliveries of one event out of the order of their acceptance."""
    contents = {
        words: f.body(f.messages(f.text_message(words, number=words, timestamp=timestamp))) for words in "ab"
    }
    first, second, third = (delivery_id_at(ACCEPTED_MS + milliseconds) for milliseconds in range(3))
    core.ingest_as((third, contents["a"]))
    core.ingest_as((second, contents["b"]))
    core.ingest_as((first, contents["a"]))
    core.run()
    assert core.seen == ["a", "b"]


def test_a_duplicate_of_what_was_begun_changes_nothing(core: Core) -> None:
    first, second = ids.take(2)
    core.ingest_as((second, text_body("a")))
    core.run()
    core.ingest_as((first, text_body("a")))
    assert str(core.event("a").delivery_id) == second


# Dying in between


@contextmanager
def dying_at(function: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process is killed as it calls a function of ``app.ingest.store``."""

    def die(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch, suppress(Killed):
        patch.setattr(module, function, die)
        yield
        raise AssertionError("it was not called")


def test_dying_before_the_commit_leaves_the_journal_as_it_was(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.accept(text_body("a"))
    task = core.take_task()
    with dying_at("insert_deliveries", monkeypatch):
        core.ingest_as(*task)
    assert (journal(core), keys(core), core.wakes_in_queue()) == ((1, 1), [], [])


def test_dying_between_the_commit_and_the_journal_changes_nothing_when_it_is_run_again(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.accept(text_body("a", "b"))
    task = core.take_task()
    with dying_at("remove_from_journal", monkeypatch):
        core.ingest_as(*task)
    before = (core.rows("SELECT * FROM event_jobs"), core.rows("SELECT * FROM deliveries"))
    assert core.ingest_as(*task).lanes == set()
    assert (core.rows("SELECT * FROM event_jobs"), core.rows("SELECT * FROM deliveries")) == before
    assert (journal(core), core.wakes_in_queue()) == ((0, 0), [])


def test_lanes_that_nobody_woke_are_woken_by_the_sweep(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    with dying_at("wake", monkeypatch):
        core.ingest(text_body("a"))
    assert sweeper.sweep_lanes(core.engine, core.redis, grace_seconds=0, lease_seconds=LEASE_SECONDS) == 1
    core.run()
    assert core.seen == ["a"]


# What cannot be read


def test_bodies_that_are_no_text_pass_through_the_queue(core: Core) -> None:
    odd = raw(text_body("a"))[:-1] + b"\xff"
    core.accept(odd)
    core.ingest_waiting()
    assert core.value("SELECT body FROM deliveries").tobytes() == odd
