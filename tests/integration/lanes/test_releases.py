"""Workers of two releases side by side: an event is finished only by one that knows its handler."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.handlers import Context, Event
from app.handlers.registration import Handler, Registry
from app.handlers.retry import RetryPolicy
from app.lanes.outcome import Outcome
from app.watch import unknown_handlers
from tests.helpers.core import Core, text_body


def release(run: Callable[[Event, Context], None], *names: str, formerly: tuple[str, ...] = ()) -> Registry:
    """The registry of a release that has these handlers of messages: one for texts, then one for all others."""
    registry = Registry()
    for type_, name in zip(("text", None), names, strict=False):
        registry.add("message", type_, Handler(name, run, RetryPolicy(), "hold", None, formerly))
    return registry


def only_lane(core: Core) -> int:
    lane: int = core.value("SELECT DISTINCT lane FROM event_jobs")
    return lane


def test_a_worker_without_handlers_leaves_events_to_others(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("first"))
    known, core.registry = core.registry, Registry()
    assert core.step(only_lane(core)).outcome is Outcome.UNKNOWN_HANDLER
    event = core.event("first")
    assert (event.state, event.handler, event.attempts) == ("pending", "tests.message_any", 0)
    core.registry = known
    assert core.step(only_lane(core)).outcome is Outcome.DONE
    assert core.seen == ["first"]


def test_a_worker_of_the_release_before_leaves_events_of_the_new_one_to_it(core: Core) -> None:
    old, new = release(core.note, "bot.note"), release(core.note, "bot.answer")
    core.registry = new
    core.ingest(text_body("first"))
    core.registry = old  # it has a handler for this type, but not this one
    assert core.step(only_lane(core)).outcome is Outcome.UNKNOWN_HANDLER
    core.registry = new
    assert core.step(only_lane(core)).outcome is Outcome.DONE
    assert core.event("first").handler == "bot.answer"


def test_a_worker_of_the_new_release_leaves_events_of_the_one_before_to_it(core: Core) -> None:
    old, new = release(core.note, "bot.note"), release(core.note, "bot.answer")
    core.registry = old
    core.ingest(text_body("first"))
    core.registry = new
    assert core.step(only_lane(core)).outcome is Outcome.UNKNOWN_HANDLER
    core.registry = old
    assert core.step(only_lane(core)).outcome is Outcome.DONE
    assert core.event("first").handler == "bot.note"


def test_a_handler_that_was_renamed_runs_the_events_of_its_former_name(core: Core) -> None:
    core.registry = release(core.note, "bot.note")
    core.ingest(text_body("first"))
    core.registry = release(core.note, "bot.answer", formerly=("bot.note",))
    assert core.step(only_lane(core)).outcome is Outcome.DONE
    assert core.event("first").handler == "bot.answer"


def test_an_event_stays_with_its_handler_when_another_takes_its_type_over(core: Core) -> None:
    core.registry = release(core.note, "bot.note")
    core.ingest(text_body("first"))
    core.registry = release(core.note, "bot.texts", "bot.note")
    assert core.step(only_lane(core)).outcome is Outcome.DONE
    assert core.event("first").handler == "bot.note"


def test_handlers_that_a_worker_did_not_know_can_be_counted(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("first"))
    assert unknown_handlers.names(core.redis) == []
    core.registry = Registry()
    core.step(only_lane(core))
    assert unknown_handlers.names(core.redis) == ["tests.message_any"]


def test_a_lane_that_was_left_to_others_is_not_woken_by_who_left_it(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("first"))
    core.registry = Registry()
    core.run()
    assert core.wakes_in_queue() == []
    assert core.event("first").state == "pending"


@pytest.mark.parametrize("known_first", [True, False])
def test_a_lane_stops_before_an_event_whose_handler_is_not_known(core: Core, known_first: bool) -> None:
    core.registry = release(core.note, "bot.note")
    core.ingest(text_body("first", "second"))
    other = "first" if not known_first else "second"
    core.execute("UPDATE jobs SET handler = 'bot.other' WHERE id = :id", id=core.event(other).id)
    with core.lanes().runner() as runner:
        (step,) = runner.advance([only_lane(core)], 60)
    assert step.outcome is Outcome.UNKNOWN_HANDLER
    assert core.seen == (["first"] if known_first else [])
    assert core.event(other).state == "pending"


def test_a_handler_answers_to_its_former_names_only() -> None:
    handler = Handler("a", print, RetryPolicy(), "hold", None)
    assert handler.answers_to("a")
    assert not handler.answers_to("b")
    assert replace(handler, formerly=("b",)).answers_to("b")
