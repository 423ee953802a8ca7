"""Which checks stand for each promise that the fault test judges, in the order in which the promises are documented."""

from collections.abc import Mapping, Sequence

from app.dev.judge import Check, comes_back, finished, loud, once, order, statuses, stored

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
    "2a every event is final, nothing waits": (finished.every_event_is_final, finished.nothing_waits),
    "2b dead are those that must be": (loud.dead_are_those_that_must_be, loud.dead_letters_are_queued),
    "3a effects exactly once": (once.effects_are_committed_once,),
    "3b attempts never overlap": (once.attempts_never_overlap,),
    "4 in order, one at a time": (
        order.conversations_have_a_lane_of_their_own,
        order.conversations_run_in_order,
    ),
    "5 statuses only rise": (statuses.statuses_stand_at_the_furthest,),
    "6 what was interrupted runs again": (comes_back.interrupted_events_run_again,),
    "8 it comes back by itself": (comes_back.work_goes_on,),
}
