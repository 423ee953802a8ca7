"""The events of a conversation run one at a time, in the order of Meta's timestamps among those that have arrived."""

import random

from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import conversation, conversations, message, together

SHUFFLE = random.Random(11)


def test_events_that_arrive_in_any_order_run_in_order_and_one_at_a_time(pipeline: Pipeline) -> None:
    sent = conversations(10, 12, sleep=0.005)
    shuffled = SHUFFLE.sample(sent, len(sent))
    assert pipeline.meta.post(together(shuffled)) == 200
    pipeline.assert_done_once(sent)
    pipeline.assert_in_order(sent)


def test_events_that_arrive_one_after_the_other_run_in_that_order(pipeline: Pipeline) -> None:
    sent = conversations(8, 10)
    pipeline.accept(sent)
    pipeline.assert_done_once(sent)
    pipeline.assert_in_order(sent)


def test_an_event_that_runs_long_holds_only_its_own_conversation(pipeline: Pipeline) -> None:
    held = message(block="yes")
    behind = [message(held.user) for _ in range(3)]
    others = conversations(5, 3)
    pipeline.accept([held, *behind, *others])
    pipeline.assert_done_once(others)
    pipeline.wait_for_states([held, *behind], pending=4)
    pipeline.open_gate(held)
    pipeline.assert_done_once([held, *behind])
    pipeline.assert_in_order([held, *behind])


def test_a_failing_event_holds_its_conversation_until_it_succeeds(pipeline: Pipeline) -> None:
    failing = message(fail=2)
    lane = [failing, *(message(failing.user) for _ in range(3))]
    pipeline.accept(lane)
    pipeline.assert_done_once(lane)
    pipeline.assert_in_order(lane)
    assert [effect.attempt for effect in pipeline.effects(lane)] == [3, 1, 1, 1]


def test_a_conversation_goes_on_after_an_event_that_is_dead(pipeline: Pipeline) -> None:
    dead = message(permanent="yes")
    behind = [message(dead.user) for _ in range(3)]
    pipeline.accept([dead, *behind])
    pipeline.assert_done_once(behind)
    pipeline.assert_in_order(behind)
    assert pipeline.states([dead]) == {"dead": 1}


def test_an_event_that_arrives_after_a_later_one_was_done_runs_and_is_called_late(pipeline: Pipeline) -> None:
    late, *on_time = conversation(3)
    pipeline.accept(on_time)
    pipeline.assert_done_once(on_time)
    pipeline.accept([late])
    pipeline.assert_done_once([late])
    assert [effect.late for effect in pipeline.effects([*on_time, late])] == [False, False, True]
