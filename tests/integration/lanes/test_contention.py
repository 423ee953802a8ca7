"""An attempt that failed only because another transaction was in the way is tried again, and costs nothing."""

import pytest
from sqlalchemy import text

from app.handlers import Context, Event
from app.lanes import execution
from tests.helpers.core import Core, text_body


def run_when_due(core: Core, times: int) -> None:
    for _ in range(times):
        core.make_due()
        core.advance(core.event("a").lane)


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
def test_an_attempt_that_fails_for_another_transaction_costs_nothing(core: Core, code: str) -> None:
    attempts: list[int] = []

    def handle(event: Event, ctx: Context) -> None:
        attempts.append(ctx.attempt)
        if len(attempts) <= 3:
            ctx.connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))
        core.note(event, ctx)

    core.on("message", "text", handle, max_attempts=1)
    core.ingest(text_body("a"))
    run_when_due(core, 4)
    assert attempts == [1, 1, 1, 1]
    assert core.event("a").state == "done"
    assert [bool(row.error) for row in core.attempts_of("a")] == [True, True, True, False]


def test_an_event_that_always_comes_into_its_own_way_dies_in_the_end(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "MAX_TRIED_AGAIN", 2)

    def handle(_event: Event, ctx: Context) -> None:
        ctx.connection.execute(text("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$"))

    core.on("message", "text", handle, max_attempts=1)
    core.ingest(text_body("a"))
    run_when_due(core, 3)
    assert core.event("a").state == "dead"
    assert core.event("a").attempts == 3
