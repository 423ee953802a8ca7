"""The same traffic gives the same tables however many workers run it, and a worker does not grow with it.

NEVERDROP_DRAIN_EVENTS and NEVERDROP_MEMORY_EVENTS are how many events; the defaults keep the tests short.
"""

import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pytest
from sqlalchemy import text

from app.dev.stack import programs
from app.stores.connections import engine, redis
from tests.acceptance.conftest import own_pipeline
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, conversations, message, status_of, together

DRAIN_EVENTS = int(os.environ.get("NEVERDROP_DRAIN_EVENTS", "1000"))
MEMORY_EVENTS = int(os.environ.get("NEVERDROP_MEMORY_EVENTS", "1000"))
EVENTS_A_SECOND = 20  # far below what the slowest machine does
TIMEOUT_SECONDS = 240 + max(DRAIN_EVENTS, MEMORY_EVENTS) // EVENTS_A_SECOND
PER_BODY = 100
LANES = 50
STATES = ("sent", "delivered", "read", "failed")
GROWTH = 1.2  # memory after all events, against after a tenth of them
SHUFFLE = random.Random(13)

PROGRESS = text("SELECT count(*), count(*) FILTER (WHERE state = 'pending') FROM event_jobs")
EVENTS = text("""
SELECT e.key, e.kind, e.type, e.payload, e.occurred_at, e.state::text, e.handler, e.attempts, e.error, c.key
FROM event_jobs e LEFT JOIN conversations c ON c.id = e.lane WHERE e.key = ANY(:keys) ORDER BY e.key
""")
STATUSES = text("SELECT * FROM message_statuses ORDER BY message_id, participant")
EFFECTS = text("""
SELECT key, conversation, number, attempt FROM acceptance_effects WHERE key = ANY(:keys) ORDER BY key
""")
EMPTY = text("""
TRUNCATE events, deliveries, jobs, outcomes, past_attempts, lanes, message_statuses, conversations,
         conversation_aliases, acceptance_effects
""")

pytestmark = pytest.mark.timeout(TIMEOUT_SECONDS)


@pytest.fixture(scope="module")
def one_worker() -> Iterator[Pipeline]:
    """A pipeline with one worker that runs one event at a time."""
    with pytest.MonkeyPatch.context() as patch, own_pipeline(patch, workers=1, concurrency=1) as started:
        yield started


def traffic(events: int) -> list[Item]:
    """Half messages, some of which fail at first and some for good, half statuses; many in each conversation."""
    answered = conversations(LANES, events // LANES // 2)
    for place in range(0, len(answered), LANES * 2 - 1):
        failing = {"fail": 1} if place % 2 else {"permanent": "yes"}
        answered[place] = message(answered[place].user, **failing)
    statuses = [status_of(each, STATES[at % len(STATES)], at) for at, each in enumerate(answered)]
    return SHUFFLE.sample([*answered, *statuses], len(answered) * 2)


def send(pipeline: Pipeline, sent: Sequence[Item]) -> None:
    """In large bodies, every tenth of them twice."""
    bodies = [together(sent[start : start + PER_BODY]) for start in range(0, len(sent), PER_BODY)]
    answers = [pipeline.meta.begin(content) for content in [*bodies, *bodies[::10]]]
    assert {answer.result() for answer in answers} == {200}


def drain(pipeline: Pipeline, events: int) -> None:
    """Until so many events are in the table and none of them is pending."""
    pipeline.stack.wait_until(
        lambda: tuple(pipeline.rows(PROGRESS)[0]) == (events, 0), TIMEOUT_SECONDS, "the end of the backlog"
    )


def tables(pipeline: Pipeline, sent: Sequence[Item]) -> dict[str, list[Any]]:
    """What is in them at the end, but for the numbers and times that no two runs share."""
    keys = [each.key for each in sent]
    return {
        "events": [tuple(row) for row in pipeline.rows(EVENTS, keys=keys)],
        "statuses": [tuple(row) for row in pipeline.rows(STATUSES)],
        "effects": [tuple(row) for row in pipeline.rows(EFFECTS, keys=keys)],
    }


def empty() -> None:
    """As if nothing had ever arrived."""
    with engine().begin() as connection:
        connection.execute(EMPTY)
    redis().flushall()


def test_a_worker_does_not_grow_with_the_events_it_has_run(one_worker: Pipeline) -> None:
    empty()

    def run(until: int, events: int) -> int:
        send(one_worker, conversations(LANES, events // LANES))
        drain(one_worker, until)
        return memory_of(one_worker, "worker1")

    tenth = MEMORY_EVENTS // 10
    early = run(tenth, tenth)
    late = run(MEMORY_EVENTS, MEMORY_EVENTS - tenth)
    print(f"worker: {early / 2**20:.1f} MiB, at the end {late / 2**20:.1f} MiB")  # noqa: T201
    assert late <= early * GROWTH


def test_one_worker_and_four_leave_the_same_tables(one_worker: Pipeline) -> None:
    pipeline = one_worker
    empty()
    sent = traffic(DRAIN_EVENTS)
    send(pipeline, sent)
    drain(pipeline, len(sent))
    by_one = tables(pipeline, sent)

    empty()
    for number in (2, 3, 4):
        pipeline.stack.supervisor.start(programs.worker(number, concurrency=1))
    send(pipeline, sent)
    drain(pipeline, len(sent))
    by_four = tables(pipeline, sent)
    assert by_four == by_one
    pipeline.assert_one_at_a_time(sent)


def memory_of(pipeline: Pipeline, name: str) -> int:
    """Bytes that a worker and its pool have to themselves."""
    main: psutil.Process = pipeline.stack.process(name).process
    return sum(process.memory_full_info().uss for process in [main, *main.children(recursive=True)])
