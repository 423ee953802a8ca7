"""Handlers of several lanes in one transaction: what each of them is promised holds all the same."""

import os
import signal
import time
from collections.abc import Callable, Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.handlers import Context, Event
from app.lanes.lanes import Lanes
from app.lanes.outcome import Outcome, Step
from tests.helpers.core import Core, Killed, advanced, text_body, write_note

pytestmark = pytest.mark.core(notes=True)

NAMES = ("a", "b", "c", "d")
ENDLESS_SECONDS = 30
SHORT_LIMIT_SECONDS = 0.3
TRANSACTION = text("SELECT CAST(pg_current_xact_id() AS text)")

Effect = Callable[[Event, Context], object]


class Handlers:
    """A grouped handler that notes its text, and does something else where it is told so."""

    def __init__(self, core: Core, **effects: Effect) -> None:
        self.core = core
        self.effects = effects
        self.transactions: dict[str, str] = {}
        self.attempts: list[tuple[str, int]] = []

    def __call__(self, event: Event, ctx: Context) -> None:
        name = event.text or ""
        self.attempts.append((name, ctx.attempt))
        write_note(ctx, name)
        self.transactions[name] = ctx.connection.scalar(TRANSACTION)
        if name in self.effects:
            self.effects[name](event, ctx)


def lanes_of(core: Core) -> list[int]:
    rows = core.rows("SELECT lane, min(id) FROM event_jobs WHERE state = 'pending' GROUP BY lane ORDER BY 2")
    return [row.lane for row in rows]


def run(core: Core, lanes: Lanes | None = None) -> list[Step]:
    core.redis.flushall()
    return advanced(lanes or core.lanes(), lanes_of(core))


def ingest_each(core: Core, names: Sequence[str] = NAMES) -> None:
    """A lane for each."""
    core.ingest(*(text_body(name, sender=number) for number, name in enumerate(names, 1)))


def started(core: Core, max_attempts: int = 3, limit: float | None = None, **effects: Effect) -> Handlers:
    handlers = Handlers(core, **effects)
    core.on("message", None, handlers, max_attempts=max_attempts, grouped=True, time_limit_seconds=limit)
    ingest_each(core)
    return handlers


def fail(_event: Event, _ctx: Context) -> None:
    raise ValueError


def test_handlers_of_several_lanes_share_a_transaction(core: Core) -> None:
    handlers = started(core)
    assert [step.outcome for step in run(core)] == [Outcome.EMPTY] * 4
    assert len(set(handlers.transactions.values())) == 1
    assert core.notes() == list(NAMES)
    assert core.states() == {"done": 4}
    assert core.value("SELECT count(*) FROM job_attempts WHERE finished_at IS NOT NULL AND number = 1") == 4


def test_a_handler_that_is_not_grouped_shares_none(core: Core) -> None:
    handlers = Handlers(core)
    core.on("message", None, handlers)
    ingest_each(core)
    run(core)
    assert len(set(handlers.transactions.values())) == 4


def test_each_lane_goes_by_its_order(core: Core) -> None:
    core.on("message", grouped=True)
    core.ingest(*(text_body(*(f"{sender}{n}" for n in range(3)), sender=sender) for sender in (1, 2)))
    worker = core.lanes()
    with worker.runner() as runner:
        runner.round(lanes_of(core), 3)
    assert core.states() == {"done": 6}
    for sender in "12":
        assert [seen for seen in core.seen if seen[0] == sender] == [f"{sender}{n}" for n in range(3)]


def break_in_flush(_event: Event, ctx: Context) -> None:
    ctx.session.execute(text("INSERT INTO notes VALUES (NULL)"))


def go_on_after_an_error(_event: Event, ctx: Context) -> None:
    try:
        ctx.connection.execute(text("SELECT 1 / 0"))
    except Exception:
        return


def roll_back_the_session(_event: Event, ctx: Context) -> None:
    ctx.session.rollback()


@pytest.mark.parametrize("effect", [fail, break_in_flush, go_on_after_an_error, roll_back_the_session])
def test_a_handler_that_fails_takes_nothing_of_the_others_with_it(core: Core, effect: Effect) -> None:
    handlers = started(core, b=effect)
    outcomes = [step.outcome for step in run(core)]
    assert outcomes == [Outcome.EMPTY, Outcome.FAILED, Outcome.EMPTY, Outcome.EMPTY]
    assert core.notes() == ["a", "c", "d"]
    assert len({handlers.transactions[name] for name in "acd"}) == 1
    assert [row.error is not None for row in core.attempts_of("b")] == [True]
    del handlers.effects["b"]
    core.make_due()
    run(core)
    assert handlers.attempts[-1] == ("b", 2)
    assert core.notes() == list(NAMES)


def end_the_transaction(_event: Event, ctx: Context) -> None:
    ctx.connection.rollback()


def roll_back_the_driver(_event: Event, ctx: Context) -> None:
    ctx.connection.connection.rollback()


def end_the_session(_event: Event, ctx: Context) -> None:
    ctx.connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


def query_for_too_long(_event: Event, ctx: Context) -> None:
    ctx.connection.execute(text(f"SELECT pg_sleep({ENDLESS_SECONDS})"))


@pytest.mark.parametrize(
    "effect", [end_the_transaction, roll_back_the_driver, end_the_session, query_for_too_long]
)
def test_where_a_handler_ends_the_transaction_the_others_run_alone(core: Core, effect: Effect) -> None:
    handlers = started(core, c=effect, limit=SHORT_LIMIT_SECONDS if effect is query_for_too_long else None)
    outcomes = [step.outcome for step in run(core)]
    assert outcomes == [Outcome.EMPTY, Outcome.EMPTY, Outcome.FAILED, Outcome.EMPTY]
    assert core.notes() == ["a", "b", "d"]
    assert [attempt for name, attempt in handlers.attempts] == [1] * len(handlers.attempts)
    assert core.value("SELECT count(*) FROM past_attempts") == 1


def test_a_handler_that_is_too_slow_is_stopped_and_the_others_are_done(core: Core) -> None:
    started(core, a=lambda _event, _ctx: time.sleep(ENDLESS_SECONDS), limit=SHORT_LIMIT_SECONDS)
    assert next(step.outcome for step in run(core)) is Outcome.FAILED
    assert core.notes() == ["b", "c", "d"]


@pytest.mark.parametrize("code", ["40001", "40P01", "55P03"])
def test_a_conflict_with_another_transaction_lets_all_run_alone_for_a_while(core: Core, code: str) -> None:
    def conflict_once(_event: Event, ctx: Context) -> None:
        if handlers.attempts.count(("b", 1)) == 1:
            ctx.connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$"))

    handlers = started(core, max_attempts=1, b=conflict_once)
    worker = core.lanes()
    run(core, worker)
    assert core.states() == {"done": 4}
    assert core.notes() == list(NAMES)
    assert len(set(handlers.transactions.values())) == 4
    ingest_each(core, ["e", "f"])
    run(core, worker)
    assert handlers.transactions["e"] != handlers.transactions["f"]


def test_what_a_handler_changes_of_its_session_reaches_no_other(core: Core) -> None:
    found: list[str] = []
    show = text("SELECT current_setting('search_path')")
    started(
        core,
        b=lambda _event, ctx: ctx.connection.execute(text("SET search_path = elsewhere, public")),
        c=lambda _event, ctx: found.append(ctx.connection.scalar(show)),
    )
    run(core)
    assert core.states() == {"done": 4}
    assert "elsewhere" not in "".join(found)


def test_what_a_cursor_of_the_handlers_own_wrote_is_rolled_back_too(core: Core) -> None:
    def write_and_fail(event: Event, ctx: Context) -> None:
        from psycopg2 import extensions

        cursor = ctx.connection.connection.cursor(cursor_factory=extensions.cursor)  # type: ignore[call-arg]
        cursor.execute("INSERT INTO notes VALUES ('unguarded')")
        raise ValueError

    core.on("message", "text", lambda event, ctx: write_and_fail(event, ctx) if event.text == "b" else
            write_note(ctx, event.text or ""), grouped=True)  # fmt: skip
    ingest_each(core)
    run(core)
    assert core.notes() == ["a", "c", "d"]


def test_a_reply_leaves_only_if_its_own_handler_succeeded(core: Core) -> None:
    def reply_and_fail(_event: Event, ctx: Context) -> None:
        ctx.reply("no")
        raise ValueError

    started(core, a=lambda _event, ctx: ctx.reply("yes"), b=reply_and_fail)
    run(core)
    assert [
        row.body for row in core.rows("SELECT CAST(body AS json) #>> '{text,body}' AS body FROM sends")
    ] == ["yes"]


def test_async_handlers_share_a_transaction_too(core: Core) -> None:
    async def handle(event: Event, ctx: Context) -> None:
        write_note(ctx, ctx.connection.scalar(TRANSACTION))

    core.on("message", None, handle, grouped=True)
    ingest_each(core)
    run(core)
    assert len(core.notes()) == 4
    assert len(set(core.notes())) == 1


# When something dies, or somebody is in the way


def test_a_worker_that_is_killed_in_a_group_commits_nothing_and_costs_no_attempt(core: Core) -> None:
    def die(_event: Event, _ctx: Context) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    handlers = started(core, max_attempts=1, c=die)
    core.redis.flushall()
    lanes = lanes_of(core)
    child = os.fork()
    if not child:
        advanced(core.lanes("killed"), lanes)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert core.notes() == []
    assert core.states() == {"pending": 4}
    handlers.effects.clear()
    run(core)
    assert core.notes() == list(NAMES)
    assert handlers.attempts == [(name, 1) for name in NAMES]
    assert [row.worker for row in core.attempts_of("a")] == ["killed", "worker"]


def test_an_event_that_kills_its_worker_each_time_dies_and_the_others_of_its_group_are_done(
    core: Core,
) -> None:
    def die(_event: Event, _ctx: Context) -> None:
        raise Killed

    started(core, max_attempts=1, b=die)
    for _ in range(4):
        core.redis.flushall()
        try:
            advanced(core.lanes(killed=True), lanes_of(core))
        except Killed:
            continue
    assert core.event("b").state == "dead"
    assert core.event("b").error.startswith("WorkerLostError: ")
    assert core.notes() == ["a", "c", "d"]


def test_a_job_that_somebody_has_locked_holds_up_no_other(core: Core) -> None:
    started(core)
    with Session(core.engine) as somebody:
        somebody.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": core.event("b").id})
        outcomes = [step.outcome for step in run(core)]
    assert outcomes == [Outcome.EMPTY, Outcome.INTERRUPTED, Outcome.EMPTY, Outcome.EMPTY]
    run(core)
    assert core.notes() == list(NAMES)


def test_a_job_that_another_worker_has_begun_meanwhile_is_left_to_it(core: Core) -> None:
    def lose_the_claim(event: Event, _ctx: Context) -> None:
        core.execute("UPDATE jobs SET attempts = attempts + 1 WHERE event_id = :id", id=event.id)

    handlers = started(core, max_attempts=10, b=lose_the_claim)
    steps = run(core)
    assert steps[1].outcome is not Outcome.DONE
    assert core.notes() == ["a", "c", "d"]
    assert core.states() == {"done": 3, "pending": 1}
    handlers.effects.clear()
    run(core)
    assert core.notes() == list(NAMES)
