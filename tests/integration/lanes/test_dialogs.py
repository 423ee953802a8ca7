"""A handler keeps a state and expects an answer: both are committed with its job, whatever dies in between."""

from collections.abc import Callable
from typing import Any

import pytest

from app import dead_letters, replays
from app.handlers import ANSWER, TIMEOUT, Context, Event
from app.handlers.registration import Handler
from app.handlers.retry import RetryPolicy
from app.lanes import timeouts
from app.lanes.outcome import Outcome
from app.recovery import retention
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body

PHONE_ONLY, USER_ONLY = {"from_user_id": None}, {"from": None}
HOUR = 3600

Function = Callable[[Event, Context], Any]


def register(
    core: Core, kind: str, name: str, function: Function, *types: str, max_attempts: int = 3
) -> None:
    policy = RetryPolicy(max_attempts, HOUR, HOUR)
    handler = Handler(f"tests.{kind}_{name}", function, policy, "hold", None, answer_types=types)
    core.registry.add(kind, name, handler)


@pytest.fixture
def order(core: Core) -> Core:
    """A bot that asks for an address, then for a day, and notes what it has got."""

    def begin(event: Event, ctx: Context) -> None:
        core.seen.append(event.text or event.type)
        if event.text == "order":
            ctx.expect("address", timeout=HOUR)

    def address(event: Event, ctx: Context) -> None:
        if event.text in core.broken:
            raise ValueError
        ctx.state["address"] = event.text
        core.seen.append(f"address {event.text}")
        ctx.expect("day")

    def day(event: Event, ctx: Context) -> None:
        core.seen.append(f"{ctx.state.pop('address')} on {event.text}")

    core.on("message", "text", begin)
    register(core, ANSWER, "address", address)
    register(core, ANSWER, "day", day)
    register(core, TIMEOUT, "address", lambda event, _ctx: core.seen.append(f"{event.kind} of {event.type}"))
    return core


def says(core: Core, *texts: str, at: int = 0) -> None:
    for nth, words in enumerate(texts):
        core.ingest(text_body(words, at=f.NOW + at + nth))
    core.run()


def time_out(core: Core) -> list[int]:
    """An hour has passed, and the sweep has come."""
    core.execute(f"UPDATE dialogs SET due_at = to_timestamp({f.NOW} + 50) WHERE due_at IS NOT NULL")
    return timeouts.make_jobs(core.engine)


def state(core: Core) -> str | None:
    rows = core.rows("SELECT state FROM dialogs")
    return rows[0].state if rows else None


# The way through


def test_each_answer_is_run_by_the_handler_that_expects_it(order: Core) -> None:
    says(order, "order", "Main Street 5", "Monday", "hello")
    assert order.seen == ["order", "address Main Street 5", "Main Street 5 on Monday", "hello"]
    assert state(order) is None


def test_answers_that_were_stored_before_the_question_was_asked_are_answers_too(order: Core) -> None:
    order.ingest(
        text_body("order"), text_body("Main Street 5", at=f.NOW + 1), text_body("Monday", at=f.NOW + 2)
    )
    order.run()
    assert order.seen == ["order", "address Main Street 5", "Main Street 5 on Monday"]


def test_other_conversations_are_not_asked(order: Core) -> None:
    says(order, "order")
    order.ingest(text_body("me too", sender=2))
    order.run()
    assert order.seen == ["order", "me too"]


def test_a_reaction_is_no_answer_and_a_type_that_nobody_takes_is_one_where_it_is_expected(
    order: Core,
) -> None:
    says(order, "order")
    order.ingest(f.body(f.messages(f.message("reaction", number="r", timestamp=str(f.NOW + 1)))))
    order.ingest(f.body(f.messages(f.message("location", number="l", timestamp=str(f.NOW + 2)))))
    order.run()
    assert order.seen == ["order", "address None"]
    assert order.states() == {"done": 2, "unhandled": 1}


def test_what_only_an_answer_would_take_is_unhandled_where_none_is_expected(order: Core) -> None:
    order.ingest(f.body(f.messages(f.message("location", number="l"))))
    order.run()
    assert order.states() == {"unhandled": 1}


def test_messages_that_are_no_answers_go_to_their_own_handlers_meanwhile(core: Core) -> None:
    core.on("message", "image")
    core.on("message", "text", lambda _event, ctx: ctx.expect("size"))
    register(core, ANSWER, "size", lambda event, _ctx: core.seen.append(f"size {event.text}"), "text")
    core.ingest(text_body("order"))
    core.ingest(f.body(f.messages(f.message("image", number="i", timestamp=str(f.NOW + 1)))))
    core.ingest(text_body("XL", at=f.NOW + 2))
    core.run()
    assert core.seen == ["image", "size XL"]


# What dies, fails and is deployed in between


def test_a_worker_that_is_killed_at_any_step_costs_neither_state_nor_question(order: Core) -> None:
    for nth, words in enumerate(["order", "Main Street 5", "Monday"]):
        order.ingest(text_body(words, at=f.NOW + nth))
        lane = order.event(words).lane
        order.kill_worker_in(lane)
        order.let_leases_run_out()
        order.advance(lane)
    assert order.seen == ["order", "address Main Street 5", "Main Street 5 on Monday"]


def test_a_retry_finds_state_and_question_as_they_were(core: Core) -> None:
    found: list[Any] = []

    def count(event: Event, ctx: Context) -> None:
        found.append(dict(ctx.state))
        ctx.state["count"] = ctx.state.get("count", 0) + 1
        ctx.expect("nothing")
        if ctx.attempt == 1 and event.text == "two":
            raise ValueError

    core.on("message", "text", count)
    register(core, ANSWER, "nothing", count)
    says(core, "one", "two")
    core.make_due()
    core.advance(core.event("two").lane)
    assert found == [{}, {"count": 1}, {"count": 1}]
    assert state(core) == '{"count": 2}'


def test_an_answer_that_fails_is_the_answer_in_its_next_attempt_too(order: Core) -> None:
    order.broken.add("Main Street 5")
    says(order, "order", "Main Street 5", "Monday")
    order.broken.clear()
    order.make_due()
    order.advance(order.event("Monday").lane)
    assert order.seen == ["order", "address Main Street 5", "Main Street 5 on Monday"]


def test_an_answer_waits_for_a_worker_that_knows_its_handler(order: Core) -> None:
    says(order, "order")
    of_other_release = Core()
    of_other_release.registry.handlers = {
        key: handler for key, handler in order.registry.handlers.items() if key[0] != ANSWER
    }
    order.ingest(text_body("Main Street 5", at=f.NOW + 1))
    assert of_other_release.advance(order.event("order").lane).outcome is Outcome.UNKNOWN_HANDLER
    order.run()
    order.advance(order.event("order").lane)
    assert order.seen == ["order", "address Main Street 5"]


def test_a_turn_that_another_worker_makes_meanwhile_is_seen_before_the_next_job_begins(order: Core) -> None:
    order.ingest(text_body("order"), text_body("Main Street 5", at=f.NOW + 1))
    lane = order.event("order").lane
    with order.lanes().runner() as runner:
        heads = runner.statements.heads([lane], 2, 0)[lane]
        order.step(lane)
        assert runner.execution.begin([heads[1]]) == {}


# Out of turn: late, retried, replayed


def test_what_was_written_before_the_question_is_no_answer_though_it_comes_later(order: Core) -> None:
    says(order, "order", at=10)
    says(order, "late", at=5)
    says(order, "Main Street 5", at=11)
    assert order.seen == ["order", "late", "address Main Street 5"]


def test_a_dead_answer_leaves_the_question_and_its_retry_changes_no_later_one(order: Core) -> None:
    order.broken.add("nonsense")
    says(order, "order", "nonsense")
    for _ in range(2):
        order.make_due()
        order.advance(order.event("nonsense").lane)
    assert order.event("nonsense").state == "dead"
    says(order, "Main Street 5", at=3)
    order.broken.clear()
    dead_letters.retry(order.engine, order.redis, order.registry, [order.event("nonsense").id], "ada")
    order.run()
    says(order, "Monday", at=4)
    assert order.seen[:3] == ["order", "address Main Street 5", "address nonsense"]
    assert order.seen[3].endswith("on Monday")


def test_a_replay_runs_the_same_handlers_and_changes_neither_state_nor_question(order: Core) -> None:
    says(order, "order", "Main Street 5", "Monday", "order")
    before = order.rows("SELECT * FROM dialogs")
    seen, order.seen = order.seen, []
    ids = [row.id for row in order.rows("SELECT id FROM events ORDER BY id")][:2]
    begun = replays.start(order.engine, replays.Choice(), "ada", "a test", 1)
    assert replays.make_jobs(order.engine, order.redis, order.registry, begun, ids) == 2
    order.run()
    assert order.seen == seen[:2]
    assert order.rows("SELECT * FROM dialogs") == before


# Timeouts


def test_when_no_answer_comes_the_handler_of_the_timeout_runs_once(order: Core) -> None:
    says(order, "order")
    assert timeouts.make_jobs(order.engine) == []
    (lane,) = time_out(order)
    assert time_out(order) == []
    order.advance(lane)
    says(order, "hello", at=60)
    assert order.seen == ["order", "timeout of address", "hello"]


def test_an_answer_that_was_written_in_time_is_run_though_the_timeout_is_due(order: Core) -> None:
    says(order, "order")
    (lane,) = time_out(order)
    order.ingest(text_body("Main Street 5", at=f.NOW + 49))
    order.advance(lane)
    assert order.seen == ["order", "address Main Street 5"]
    assert order.states() == {"done": 2, "stale": 1}


def test_an_answer_that_was_written_after_the_timeout_was_due_comes_too_late(order: Core) -> None:
    says(order, "order")
    (lane,) = time_out(order)
    order.ingest(text_body("Main Street 5", at=f.NOW + 51))
    order.advance(lane)
    assert order.seen == ["order", "timeout of address", "Main Street 5"]


def test_a_timeout_whose_attempt_fails_is_tried_again_and_may_ask_again(core: Core) -> None:
    def remind(event: Event, ctx: Context) -> None:
        core.seen.append(f"{event.text}? {ctx.attempt}")
        if ctx.attempt == 1:
            raise ValueError
        ctx.expect("size")

    core.on("message", "text", lambda _event, ctx: ctx.expect("size", timeout=HOUR))
    register(core, ANSWER, "size", lambda event, _ctx: core.seen.append(f"size {event.text}"))
    register(core, TIMEOUT, "size", remind)
    says(core, "order")
    (lane,) = time_out(core)
    core.advance(lane)
    core.make_due()
    core.advance(lane)
    says(core, "XL", at=20)  # though Postgres's clock is ahead of Meta's
    assert core.seen == ["order? 1", "order? 2", "size XL"]


# Bad input


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1: "x"}, "would come back as something else"),
        ({"a": (1, 2)}, "would come back as something else"),
        ({"a": float("nan")}, "cannot be kept as JSON"),
        ({"a": object()}, "cannot be kept as JSON"),
        ({"a": "x" * 40_000}, "may have 32768"),
    ],
)
def test_a_state_that_cannot_be_kept_is_a_dead_letter_that_says_why(
    core: Core, value: Any, words: str
) -> None:
    def keep(_event: Event, ctx: Context) -> None:
        ctx.state = value

    core.on("message", "text", keep)
    says(core, "one")
    row = core.event("one")
    assert row.state == "dead"
    assert words in row.error


@pytest.mark.parametrize(
    ("name", "timeout", "words"),
    [
        ("nobody", None, 'register @on_answer("nobody")'),
        ("size", 60, 'register @on_timeout("size")'),
        ("size", -1, "timeout must be a positive number"),
        ("size", 1e9, "(a year) at most"),
    ],
)
def test_what_cannot_be_expected_is_a_dead_letter_that_says_what_to_register(
    core: Core, name: str, timeout: float | None, words: str
) -> None:
    core.on("message", "text", lambda _event, ctx: ctx.expect(name, timeout))
    register(core, ANSWER, "size", core.note)
    says(core, "one")
    row = core.event("one")
    assert row.state == "dead"
    assert words in row.error


# Merges and retention


def test_a_dialog_goes_on_when_its_conversation_becomes_a_part_of_another(order: Core) -> None:
    order.ingest(text_body("order", at=f.NOW, **PHONE_ONLY), text_body("hello", at=f.NOW, **USER_ONLY))
    order.run()
    order.ingest(text_body("Main Street 5", at=f.NOW + 1))
    order.run()
    assert "address Main Street 5" in order.seen
    assert len(order.rows("SELECT * FROM dialogs")) == 1


def test_of_two_dialogs_that_become_one_the_one_that_changed_last_goes_on(core: Core) -> None:
    def keep(event: Event, ctx: Context) -> None:
        core.seen.append(str(ctx.state))
        ctx.state = event.text

    core.on("message", "text", keep)
    core.ingest(text_body("phone", **PHONE_ONLY))
    core.run()
    core.ingest(text_body("user", at=f.NOW + 1, **USER_ONLY))
    core.run()
    core.ingest(text_body("both", at=f.NOW + 2))
    core.run()
    assert core.seen == ["{}", "{}", "user"]


def test_a_dialog_is_purged_with_its_events_but_not_while_it_waits_for_its_timeout(order: Core) -> None:
    says(order, "order")
    order.execute("UPDATE outcomes SET finished_at = finished_at - interval '90 days'")
    order.execute("UPDATE dialogs SET changed_at = changed_at - interval '90 days'")

    def purged() -> int:
        before = retention.cutoff(order.engine, order.redis, 30)
        return sum(each.dialogs for each in retention.purge(order.engine, before))

    assert purged() == 0
    (lane,) = time_out(order)
    order.advance(lane)
    assert order.seen == ["order", "timeout of address"]
    order.execute("UPDATE dialogs SET changed_at = changed_at - interval '90 days'")
    assert purged() == 1
