"""The bench's harness, in its smallest form: what it counts is what was sent and what is in the tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.subjects.catalog import BARE, NEVERDROP, TUTORIAL_GRANIAN, Subject
from bench.subjects.turn import turn
from bench.traffic.bodies import MIX
from bench.traffic.load import prepared
from bench.traffic.sender import Order
from tests.helpers import services as servers

EVENTS = 10 * MIX
MESSAGES = "SELECT count(*) FROM bench_rows WHERE kind = 'message'"


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """Where the stores of one test after the other are: Postgres's directory is made once."""
    with servers.directory() as path:
        yield path


@pytest.mark.parametrize("subject", [NEVERDROP, TUTORIAL_GRANIAN], ids=lambda subject: subject.name)
def test_what_was_posted_while_the_consumers_were_frozen_is_done_once_when_they_are_thawed(
    subject: Subject, data: Path
) -> None:
    with turn(subject, data, warm=MIX) as running:
        before = running.stores.query(MESSAGES)
        running.freeze()
        tally = running.post(running.traffic(EVENTS, "mix"), EVENTS)
        assert (tally.accepted, tally.refused, tally.broken) == (EVENTS, 0, 0)
        assert running.done() == 0
        assert subject.backlog(running.stores) > 0

        running.thaw()
        progress = running.until_done(EVENTS)
        assert progress[-1][1] == EVENTS
        assert running.stores.query(MESSAGES) - before == EVENTS / MIX
        assert set(running.cpu_seconds()) >= {"web", "valkey", "postgres", *running.consumers()}


def test_an_open_loop_sends_so_many_as_its_rate_says(data: Path) -> None:
    with turn(BARE, data, warm=0) as running:
        order = Order(running.port, running.traffic(0), connections=2, seconds=0.5, rate=100)
        with prepared(order, processes=2) as load:
            tally = load.run()
    assert tally.accepted == 50
    assert sum(tally.latencies.buckets.values()) == 50
