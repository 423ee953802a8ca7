"""Which checks stand for each promise that the fault test judges, in the order in which the promises are documented."""

from collections.abc import Mapping, Sequence

from app.dev.judge import (
    Check,
    comes_back,
    finished,
    loud,
    once,
    order,
    replays,
    replies,
    statuses,
    stored,
    targets,
)

PROMISES: Mapping[str, Sequence[Check]] = {
    "1a answered 200, so it is there": (
        stored.every_post_is_acknowledged,
        stored.acknowledged_events_are_stored,
        stored.deliveries_are_counted,
    ),
    "1b nothing that was not sent": (
        stored.no_event_is_stored_twice,
        stored.every_event_was_sent,
        stored.times_are_those_of_meta,
    ),
    "2a every job is there and final": (
        finished.every_event_has_its_jobs,
        finished.every_job_is_final,
        finished.nothing_waits,
    ),
    "2b dead are those that must be": (loud.dead_are_those_that_must_be, loud.dead_letters_are_queued),
    "2c replays run what they name": (replays.replays_make_their_jobs,),
    "3a effects exactly once": (once.effects_are_committed_once,),
    "3b attempts never overlap": (once.attempts_never_overlap,),
    "4 in order, one at a time": (
        order.conversations_have_a_lane_of_their_own,
        order.conversations_run_in_order,
    ),
    "5 statuses only rise": (statuses.statuses_stand_at_the_furthest,),
    "6 what was interrupted runs again": (comes_back.interrupted_events_run_again,),
    "8 it comes back by itself": (comes_back.work_goes_on,),
    "9 one reply": (
        replies.messages_are_answered_once,
        replies.lost_answers_are_settled,
        replies.replies_arrive_in_order,
    ),
    "10 targets at least once": (
        targets.targets_get_every_event,
        targets.calls_are_those_of_their_job,
        targets.handlers_go_on_while_a_target_is_away,
    ),
}
