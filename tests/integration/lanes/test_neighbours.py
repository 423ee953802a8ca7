"""What goes wrong in one lane stays in it, and ends within a bounded time."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.lanes import agenda, statements
from app.lanes.execution import MAX_ATTEMPTS_EVER
from app.lanes.outcome import Outcome, Step
from app.lanes.rows import Begun, Head
from tests.helpers.core import BUDGET_SECONDS, Core, advanced, text_body

pytestmark = pytest.mark.core(messages="noted")


def lanes(core: Core) -> list[int]:
    return [
        row.lane for row in core.rows("SELECT lane, min(id) FROM event_jobs GROUP BY lane ORDER BY min(id)")
    ]


def advance_all(core: Core, budget_seconds: float = BUDGET_SECONDS) -> list[Step]:
    core.redis.flushall()
    return advanced(core.lanes(), lanes(core), budget_seconds)


def test_an_event_whose_attempts_cannot_be_counted_further_dies_and_its_neighbours_run(core: Core) -> None:
    core.ingest(text_body("often"), text_body("neighbour", sender=2))
    core.execute(
        "UPDATE jobs SET attempts = :ever, attempts_at_retry = :ever WHERE id = :id",
        ever=MAX_ATTEMPTS_EVER,
        id=core.event("often").id,
    )
    advance_all(core)
    assert core.event("often").state == "dead"
    assert core.event("often").error.startswith("AttemptsExhaustedError: ")
    assert core.seen == ["neighbour"]


def test_a_row_that_a_dead_session_holds_blocks_a_worker_for_a_moment_only(core: Core) -> None:
    core.ingest(text_body("locked"), text_body("neighbour", sender=2))
    with Session(core.engine) as dead:
        dead.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": core.event("locked").id})
        steps = advance_all(core)
        assert steps[0].outcome is Outcome.INTERRUPTED
        core.run()  # the neighbour was given back meanwhile
        assert core.seen == ["neighbour"]
    advance_all(core)
    assert core.seen == ["neighbour", "locked"]


def test_an_error_of_ours_in_one_lane_leaves_its_neighbours_alone(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.ingest(text_body("odd"), text_body("neighbour", sender=2))
    odd = core.event("odd").id
    begin = statements.LaneStatements.begin

    def begin_or_break(
        self: statements.LaneStatements, heads: Sequence[Head], *args: Any, **options: Any
    ) -> dict[int, Begun]:
        if odd in (head.id for head in heads):
            raise LookupError
        return begin(self, heads, *args, **options)

    monkeypatch.setattr(statements.LaneStatements, "begin", begin_or_break)
    steps = advance_all(core)
    assert [step.outcome for step in steps] == [Outcome.INTERRUPTED, Outcome.EMPTY]
    assert core.seen == ["neighbour"]


def test_a_lane_is_left_at_the_deadline_between_two_events(core: Core) -> None:
    sizer_knows = ["quick"] * 70
    core.ingest(text_body(*(f"{name} {number}" for number, name in enumerate(sizer_knows))))
    worker = core.lanes()
    for _ in range(64):
        worker.batch_sizer.record(0.001)
    core.redis.flushall()
    (step,) = advanced(worker, lanes(core), 0)
    assert step.outcome is Outcome.DONE
    assert step.has_more
    assert len(core.seen) == 1


def test_a_lane_is_left_behind_a_slow_event(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agenda, "PATIENCE_SECONDS", 0)
    core.ingest(text_body(*map(str, range(10))))
    worker = core.lanes()
    for _ in range(64):
        worker.batch_sizer.record(0.001)
    core.redis.flushall()
    with worker.runner() as runner:
        (step,) = runner.round(lanes(core), 10)
    assert step.has_more
    assert core.seen == ["0"]


@pytest.mark.core(messages="failing", broken=["first"], max_attempts=3)
def test_after_a_release_that_allows_fewer_attempts_an_event_has_one_more(core: Core) -> None:
    core.ingest(text_body("first"))
    for _ in range(2):
        core.make_due()
        advance_all(core)
    core.registry.handlers.clear()
    core.on("message", None, core.failing("first", error=ValueError("still")), max_attempts=1)
    core.make_due()
    advance_all(core)
    event = core.event("first")
    assert (event.state, event.attempts, event.error) == ("dead", 3, "ValueError: still")


@pytest.mark.core(messages="failing", broken=["first"], max_attempts=3)
def test_after_a_release_that_allows_fewer_attempts_a_fixed_handler_is_run(core: Core) -> None:
    core.ingest(text_body("first"))
    for _ in range(2):
        core.make_due()
        advance_all(core)
    core.registry.handlers.clear()
    core.on("message", max_attempts=1)
    core.make_due()
    advance_all(core)
    assert core.event("first").state == "done"
