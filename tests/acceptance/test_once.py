"""An event is accepted once, run by one worker at a time, and its effects are committed once."""

from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import conversations, message

COPIES = 5


def test_an_event_that_arrives_many_times_at_once_is_done_once(pipeline: Pipeline) -> None:
    sent = conversations(5, 4)
    pipeline.accept(sent * COPIES)
    pipeline.assert_done_once(sent)


def test_a_worker_that_was_stopped_beyond_its_lease_commits_nothing_of_what_another_did(
    pipeline: Pipeline,
) -> None:
    zombie = message(block="yes")
    pipeline.accept([zombie])
    runner = pipeline.wait_until_begun(zombie)
    pipeline.stack.pause(runner.name)
    pipeline.wait_until_begun(zombie, attempt=2)
    pipeline.wait_until_done([zombie])

    pipeline.open_gate(zombie)
    pipeline.stack.resume(runner.name)
    pipeline.wait_until_logged("event.stale_attempt", zombie)

    assert [effect.attempt for effect in pipeline.effects([zombie])] == [2]
    after = message(zombie.user)
    pipeline.accept([after])
    pipeline.assert_done_once([zombie, after])
