"""Attempts on real stores: each is counted, and its effects are committed with ``done`` or not at all."""

import time
from contextlib import suppress

import pytest
from sqlalchemy import text

from app.handlers import Context, Event, Permanent, RetryAfter
from app.lanes.outcome import Outcome
from tests.helpers.core import Core, text_body, write_note

pytestmark = pytest.mark.core(notes=True)

SHORT_LIMIT_SECONDS = 0.05
ENDLESS_SECONDS = 30  # a handler that is not stopped makes the test fail by its time


def only_lane(core: Core) -> int:
    (lane,) = core.wakes_in_queue()
    return lane


# Attempts


def test_an_attempt_is_counted_before_the_handler_starts(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("deadly"))
    core.kill_worker_in(only_lane(core))
    assert core.event("deadly").attempts == 1
    (attempt,) = core.attempts_of("deadly")
    assert (attempt.worker, attempt.finished_at) == ("killed", None)


def test_after_the_lease_of_a_killed_worker_another_runs_the_event(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("deadly", "next"))
    lane = only_lane(core)
    core.kill_worker_in(lane)
    assert core.advance(lane).outcome is Outcome.CLAIMED_ELSEWHERE
    core.let_leases_run_out()
    assert core.advance(lane).outcome is Outcome.EMPTY
    assert core.seen == ["deadly", "next"]
    assert core.event("deadly").attempts == 2


def test_an_event_that_kills_its_worker_each_time_is_dead_after_its_attempts(core: Core) -> None:
    core.on("message", max_attempts=2)
    core.ingest(text_body("deadly", "next"))
    lane = only_lane(core)
    for _ in range(2):
        core.kill_worker_in(lane)
        core.let_leases_run_out()
    core.advance(lane)
    dead = core.event("deadly")
    assert dead.state == "dead"
    assert dead.error.startswith("WorkerLostError: ")
    assert core.seen == ["next"]
    assert core.dead_queue() == [dead.id]


def test_the_last_attempt_that_fails_makes_the_event_dead_with_its_error(core: Core) -> None:
    core.on("message", None, core.failing("first"), max_attempts=2)
    core.ingest(text_body("first"))
    lane = only_lane(core)
    core.run()
    core.make_due()
    assert core.advance(lane).outcome is Outcome.EMPTY
    dead = core.event("first")
    assert (dead.state, dead.attempts, dead.error) == ("dead", 2, "ValueError: cannot handle first")
    assert [attempt.error for attempt in core.attempts_of("first")] == [dead.error] * 2
    assert "Traceback" in core.attempts_of("first")[1].traceback


def test_a_permanent_error_is_dead_at_once(core: Core) -> None:
    core.on("message", None, core.failing("first", error=Permanent("no such user")))
    core.ingest(text_body("first"))
    core.run()
    dead = core.event("first")
    assert (dead.state, dead.attempts, dead.error) == ("dead", 1, "Permanent: no such user")


def test_a_handler_may_say_when_to_try_again(core: Core) -> None:
    core.on("message", None, core.failing("first", error=RetryAfter(600)))
    core.ingest(text_body("first"))
    core.run()
    waits = core.value("SELECT e.due_at - a.finished_at FROM event_jobs e, job_attempts a")
    assert round(waits.total_seconds()) == 600


@pytest.mark.parametrize("seconds", [1e300, float("inf"), float("nan"), -5.0])
def test_a_senseless_time_to_try_again_is_a_failed_attempt_all_the_same(core: Core, seconds: float) -> None:
    core.on("message", None, core.failing("first", error=RetryAfter(seconds)))
    core.ingest(text_body("first"))
    core.run()
    assert core.attempts_of("first")[0].finished_at is not None


def test_an_error_that_postgres_cannot_hold_is_still_written_down(core: Core) -> None:
    core.on(
        "message", None, core.failing("first", error=ValueError("nul \x00 and half \ud800")), max_attempts=1
    )
    core.ingest(text_body("first"))
    core.run()
    assert core.event("first").error == "ValueError: nul \ufffd and half ?"


def test_an_event_without_a_handler_is_done_at_ingest(core: Core) -> None:
    core.on("status")
    result = core.ingest(text_body("first"))
    assert result.lanes == set()
    assert (core.event("first").state, core.event("first").handler) == ("unhandled", None)
    assert core.wakes_in_queue() == []


# Effects


def test_what_a_handler_wrote_before_it_raised_is_gone(core: Core) -> None:
    def write_then_raise(event: Event, ctx: Context) -> None:
        write_note(ctx, "early")
        raise ValueError

    core.on("message", None, write_then_raise)
    core.ingest(text_body("first"))
    core.run()
    assert core.notes() == []


def test_what_a_handler_wrote_is_committed_with_its_event_being_done(core: Core) -> None:
    core.on("message", None, lambda event, ctx: write_note(ctx, f"{event.text} in attempt {ctx.attempt}"))
    core.ingest(text_body("first"))
    core.run()
    assert (core.notes(), core.event("first").state) == (["first in attempt 1"], "done")


def test_a_commit_inside_a_handler_does_not_commit_early(core: Core) -> None:
    def commit_then_raise(event: Event, ctx: Context) -> None:
        write_note(ctx, "committed?")
        ctx.session.commit()
        assert core.notes() == []
        if ctx.attempt == 1:
            raise ValueError

    core.on("message", None, commit_then_raise)
    core.ingest(text_body("first"))
    lane = only_lane(core)
    core.run()
    assert core.notes() == []
    core.make_due()
    core.advance(lane)
    assert core.notes() == ["committed?"]


def test_a_handler_that_breaks_its_transaction_and_swallows_the_error_has_failed(core: Core) -> None:
    def swallow(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        try:
            ctx.session.execute(text("SELECT 1 / 0"))
        except Exception:
            return

    core.on("message", None, swallow)
    core.ingest(text_body("first"))
    assert [step.outcome for step in core.run()] == [Outcome.FAILED]
    assert core.notes() == []


@pytest.mark.parametrize("more", [(), ("after",)], ids=["and stopped", "and went on"])
def test_a_handler_that_rolled_back_has_failed(core: Core, more: tuple[str, ...]) -> None:
    def roll_back(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        ctx.session.rollback()
        for words in more:
            write_note(ctx, words)

    core.on("message", None, roll_back)
    core.ingest(text_body("first"))
    assert [step.outcome for step in core.run()] == [Outcome.FAILED]
    assert core.notes() == []


def test_a_part_that_may_fail_can_be_rolled_back_by_itself(core: Core) -> None:
    def try_a_part(event: Event, ctx: Context) -> None:
        write_note(ctx, "kept")
        with suppress(ZeroDivisionError), ctx.session.begin_nested():
            write_note(ctx, "dropped")
            raise ZeroDivisionError

    core.on("message", None, try_a_part)
    core.ingest(text_body("first"))
    core.run()
    assert (core.notes(), core.event("first").state) == (["kept"], "done")


# The time limit


def test_a_handler_is_stopped_at_its_time_limit(core: Core) -> None:
    def hang(event: Event, ctx: Context) -> None:
        time.sleep(ENDLESS_SECONDS)

    core.on("message", None, hang, time_limit_seconds=SHORT_LIMIT_SECONDS)
    core.ingest(text_body("slow"))
    assert [step.outcome for step in core.run()] == [Outcome.FAILED]
    assert core.event("slow").error == "TimeLimitExceeded: took longer than 0.05 s"


def test_a_handler_that_swallows_exceptions_is_stopped_too(core: Core) -> None:
    def stubborn(event: Event, ctx: Context) -> None:
        write_note(ctx, "too long")
        try:
            time.sleep(ENDLESS_SECONDS)
        except Exception:
            return

    core.on("message", None, stubborn, time_limit_seconds=SHORT_LIMIT_SECONDS)
    core.ingest(text_body("slow"))
    assert [step.outcome for step in core.run()] == [Outcome.FAILED]
    assert core.notes() == []
