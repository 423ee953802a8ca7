"""Handlers of every kind run to their end, or their attempt has failed."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.handlers import Context, Event, RetryAfter, coroutines
from app.handlers.start import StartHooks
from app.lanes.outcome import Outcome
from tests.helpers.core import Core, text_body, write_note

pytestmark = pytest.mark.core(notes=True)

SHORT_LIMIT_SECONDS = 0.05
ENDLESS_SECONDS = 30  # a handler that is not stopped makes the test fail by its time


@pytest.fixture(autouse=True)
def _own_loop() -> Iterator[None]:
    yield
    coroutines.close()


def run(core: Core, function: Any, **options: Any) -> Outcome:
    core.on("message", None, function, **options)
    core.ingest(text_body("first"))
    (step, *_) = core.run()
    return step.outcome


def test_an_async_handler_runs_to_its_end(core: Core) -> None:
    async def handle(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        await asyncio.sleep(0)
        write_note(ctx, "after")

    run(core, handle)
    assert (core.notes(), core.event("first").state) == (["after", "before"], "done")


def test_async_handlers_of_a_process_share_one_event_loop(core: Core) -> None:
    loops = []

    async def handle(event: Event, ctx: Context) -> None:
        loops.append(asyncio.get_running_loop())

    core.on("message", None, handle)
    core.ingest(text_body("first", "second"))
    core.run()
    assert len(loops) == 2
    assert loops[0] is loops[1]


def test_an_async_handler_that_raises_has_failed_with_its_error(core: Core) -> None:
    async def handle(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        await asyncio.sleep(0)
        raise ValueError("no")

    assert run(core, handle) is Outcome.FAILED
    assert core.event("first").error == "ValueError: no"
    assert core.notes() == []


def test_an_async_handler_is_stopped_at_its_time_limit_and_tidies_up(core: Core) -> None:
    tidied = threading.Event()

    async def handle(event: Event, ctx: Context) -> None:
        try:
            await asyncio.sleep(ENDLESS_SECONDS)
        finally:
            tidied.set()

    assert run(core, handle, time_limit_seconds=SHORT_LIMIT_SECONDS) is Outcome.FAILED
    assert core.event("first").error == "TimeLimitExceeded: took longer than 0.05 s"
    assert tidied.is_set()


def test_a_handler_that_leaves_a_task_running_has_failed(core: Core) -> None:
    async def handle(event: Event, ctx: Context) -> None:
        handle.task = asyncio.create_task(asyncio.sleep(ENDLESS_SECONDS))  # type: ignore[attr-defined]

    assert run(core, handle) is Outcome.FAILED
    assert core.event("first").error == "HandlerError: returned while 1 of its tasks still ran: await them"


async def _coroutine() -> None:
    raise AssertionError("nobody runs it")


def _generator() -> Iterator[None]:
    yield
    raise AssertionError("nobody runs it")


@pytest.mark.parametrize("answer", [_coroutine, _generator])
def test_a_handler_that_answers_with_code_that_has_not_run_has_failed(core: Core, answer: Any) -> None:
    assert run(core, lambda *_: answer()) is Outcome.FAILED
    assert "whose code has not run" in core.event("first").error


def test_a_handler_that_answers_with_a_value_is_done(core: Core) -> None:
    assert run(core, lambda *_: 5) is Outcome.EMPTY
    assert core.event("first").state == "done"


# What a handler raises


class CannotBeShown(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    "error",
    [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), CannotBeShown()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("in_coroutine", [False, True])
def test_whatever_a_handler_raises_is_a_failed_attempt(
    core: Core, error: BaseException, in_coroutine: bool
) -> None:
    def handle(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        raise error

    async def handle_async(event: Event, ctx: Context) -> None:
        handle(event, ctx)

    assert run(core, handle_async if in_coroutine else handle) is Outcome.FAILED
    (attempt,) = core.attempts_of("first")
    assert attempt.error.startswith(type(error).__name__)
    assert "Traceback" in attempt.traceback
    assert core.notes() == []


@pytest.mark.parametrize("seconds", ["soon", None, 10**400])
def test_a_time_to_try_again_that_is_no_number_is_backed_off(core: Core, seconds: Any) -> None:
    assert run(core, core.failing("first", error=RetryAfter(seconds))) is Outcome.FAILED
    assert core.event("first").due_at is not None


# The connection


def test_a_connection_that_dies_in_a_handler_leaves_error_and_backoff(core: Core) -> None:
    def cut(event: Event, ctx: Context) -> None:
        pid = ctx.session.scalar(text("SELECT pg_backend_pid()"))
        core.rows("SELECT pg_terminate_backend(:pid)", pid=pid)
        ctx.session.execute(text("SELECT 1"))

    core.on(
        "message",
        None,
        lambda event, ctx: cut(event, ctx) if event.text == "first" else core.note(event, ctx),
    )
    core.ingest(text_body("first"), text_body("neighbour", sender=2))
    lanes = [row.lane for row in core.rows("SELECT lane FROM event_jobs ORDER BY id")]
    with core.lanes().runner() as runner:
        steps = runner.advance(lanes, 60)
    assert [step.outcome for step in steps] == [Outcome.FAILED, Outcome.EMPTY]
    event = core.event("first")
    assert event.error
    assert event.due_at is not None
    assert core.seen == ["neighbour"]


@pytest.mark.parametrize(
    "touch",
    [
        lambda ctx: ctx.connection.commit(),
        lambda ctx: ctx.connection.connection.driver_connection.commit(),
        lambda ctx: ctx.connection.connection.driver_connection.rollback(),
        lambda ctx: ctx.connection.close(),
        lambda ctx: ctx.connection.invalidate(),
        lambda ctx: ctx.session.execute(text("COMMIT")),
        lambda ctx: ctx.session.execute(text("/* x */ end")),
        lambda ctx: ctx.session.execute(text("SELECT 1; COMMIT; BEGIN")),
        lambda ctx: ctx.session.execute(text("ROLLBACK")),
        lambda ctx: ctx.session.execute(text("DEALLOCATE ALL")),
    ],
)
def test_a_handler_cannot_end_its_transaction(core: Core, touch: Any) -> None:
    def handle(event: Event, ctx: Context) -> None:
        write_note(ctx, "before")
        touch(ctx)

    core.on(
        "message",
        None,
        lambda event, ctx: handle(event, ctx) if event.text == "first" else core.note(event, ctx),
    )
    core.ingest(text_body("first"), text_body("neighbour", sender=2))
    lanes = [row.lane for row in core.rows("SELECT lane FROM event_jobs ORDER BY id")]
    with core.lanes().runner() as runner:
        steps = runner.advance(lanes, 60)
    assert [step.outcome for step in steps] == [Outcome.FAILED, Outcome.EMPTY]
    assert core.notes() == []
    assert core.event("first").error
    assert core.seen == ["neighbour"]


@pytest.mark.parametrize(
    ("leave", "look"),
    [
        ("SET application_name = 'left'", "SELECT current_setting('application_name') = 'left'"),
        (
            "SELECT set_config('application_name', 'left', false)",
            "SELECT current_setting('application_name') = 'left'",
        ),
        ("CREATE TEMP TABLE leftover (id int)", "SELECT to_regclass('leftover') IS NOT NULL"),
        (
            "SELECT pg_advisory_lock(7)",
            "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        ),
        ("LISTEN leftover", "SELECT count(*) > 0 FROM pg_listening_channels()"),
        (
            "PREPARE leftover AS SELECT 1",
            "SELECT count(*) > 0 FROM pg_prepared_statements WHERE name = 'leftover'",
        ),
    ],
)
def test_what_a_handler_does_to_its_session_does_not_reach_the_next(
    core: Core, leave: str, look: str
) -> None:
    left = []

    def handle(event: Event, ctx: Context) -> None:
        if event.text == "first":
            ctx.session.execute(text(leave))
        left.append(ctx.session.scalar(text(look)))

    core.on("message", None, handle)
    core.ingest(text_body("first", "second"))
    with core.lanes().runner() as runner:
        runner.advance([row.lane for row in core.rows("SELECT DISTINCT lane FROM event_jobs")], 60)
    assert left[1] is False  # the first sees its own, but for LISTEN, which begins with the commit
    assert core.states() == {"done": 2}


@pytest.mark.parametrize(
    "statement",
    [
        "SAVEPOINT a; ROLLBACK TO a",
        "SET LOCAL application_name = 'mine'",
        "DO $$ BEGIN PERFORM 1; END; $$",
        "UPDATE notes SET words = 'x'",
    ],
)
def test_what_ends_with_the_transaction_is_a_handlers_to_do(core: Core, statement: str) -> None:
    run(core, lambda _, ctx: ctx.session.execute(text(statement)))
    assert core.event("first").state == "done"


# Hooks


def test_a_start_hook_runs_once_in_each_process() -> None:
    ran: list[str] = []
    hooks = StartHooks()

    def plain() -> None:
        ran.append("plain")

    async def on_loop() -> None:
        await asyncio.sleep(0)
        ran.append("on the loop")

    hooks.add(plain)
    hooks.add(on_loop)
    hooks.run()
    hooks.run()
    assert ran == ["plain", "on the loop"]
    hooks.reset()  # as after a fork
    hooks.run()
    assert ran == ["plain", "on the loop"] * 2


def test_a_start_hook_that_fails_is_run_again_and_keeps_handlers_waiting() -> None:
    broken = [True]
    hooks = StartHooks()

    def connect() -> None:
        if broken.pop():
            raise ConnectionError

    broken.insert(0, False)
    hooks.add(connect)
    with pytest.raises(ConnectionError):
        hooks.run()
    hooks.run()
    assert broken == []
