"""Which checks stand for each promise that the demo judges, in the order in which the promises are documented."""

from collections.abc import Mapping, Sequence

from app.dev.judge import Check, comes_back, finished, loud, once, order, signed, statuses, stored

PROMISES: Mapping[str, Sequence[Check]] = {
    "Acked means stored": (
        stored.every_post_is_acknowledged,
        stored.deliveries_are_counted,
        stored.acknowledged_events_are_stored,
    ),
    "Stored means finished": (
        finished.every_event_has_its_jobs,
        finished.every_job_is_final,
        finished.nothing_waits,
    ),
    "Once": (
        stored.no_event_is_stored_twice,
        once.effects_are_committed_once,
        once.attempts_never_overlap,
    ),
    "In order": (
        stored.times_are_those_of_meta,
        order.conversations_have_a_lane_of_their_own,
        order.conversations_run_in_order,
    ),
    "Statuses never go back": (
        statuses.statuses_stand_at_the_furthest,
        statuses.handlers_see_statuses_rise,
    ),
    "Nothing unsigned gets in": (signed.forged_posts_are_refused, stored.every_event_was_sent),
    "Failure is loud": (
        loud.dead_are_those_that_must_be,
        loud.failures_are_recorded,
        loud.dead_letters_are_queued,
    ),
    "A killed worker's event runs again": (comes_back.interrupted_events_run_again,),
}
