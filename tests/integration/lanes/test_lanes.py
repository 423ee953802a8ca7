"""A lane on real stores: what runs next, what waits for what, and for how long."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import pytest

from app.handlers import Context, Event
from app.lanes import pauses
from app.lanes.batch_sizer import REMEMBERED
from app.lanes.claims import Claim, Claims, Taken
from app.lanes.lanes import Lanes
from app.lanes.outcome import Outcome
from app.lanes.statements import LaneStatements
from app.recovery.redis_time import now_ms
from tests.helpers import factories as f
from tests.helpers.core import SETTLE_SECONDS, Core, advanced, delivery_id_at, text_body

SHORT_LIMIT_SECONDS = 0.05
ENDLESS_SECONDS = 30  # a handler that is not stopped makes the test fail by its time


def only_lane(core: Core) -> int:
    (lane,) = core.wakes_in_queue()
    return lane


# Order


@pytest.mark.parametrize("arrival", list(itertools.permutations(range(3))))
def test_events_run_by_their_time_then_acceptance_then_place(core: Core, arrival: tuple[int, ...]) -> None:
    core.on("message")
    contents = [
        text_body("third", "fourth", at=f.NOW),
        text_body("second", at=f.NOW - 1),
        text_body("fifth", at=f.NOW),
    ]
    now = now_ms(core.redis)
    ids = [delivery_id_at(now + place) for place in range(3)]
    for nth in arrival:
        core.ingest_as((ids[nth], contents[nth]))
    core.run()
    assert core.seen == ["second", "third", "fourth", "fifth"]


def test_a_body_whose_ingest_died_is_overtaken_after_the_settle_time_and_runs_late(core: Core) -> None:
    core.on("message")
    core.accept(text_body("accepted first", at=f.NOW))
    lost = core.take_task()  # its ingest dies
    core.ingest(text_body("second", at=f.NOW + 1))
    lane = core.event("second").lane
    assert core.step(lane).outcome is Outcome.AWAITING_EARLIER
    assert core.step(lane, settle_seconds=0).outcome is Outcome.DONE
    core.ingest_as(*lost)  # as the sweep of the journal has it done
    core.run()
    assert core.seen == ["second", "accepted first"]
    assert core.event("accepted first").late


def test_a_time_far_ahead_makes_no_later_event_late(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("far ahead", at=f.NOW + 100 * 365 * 86_400))
    core.run()
    core.ingest(text_body("after it", at=int(time.time()) + 5))
    core.run()
    assert core.seen == ["far ahead", "after it"]
    assert not core.event("after it").late


def test_an_event_that_arrives_after_a_later_one_was_handled_runs_and_is_marked_late(core: Core) -> None:
    late = []

    def note(event: Event, ctx: Context) -> None:
        late.append((event.text, event.late))

    core.on("message", None, note)
    core.ingest(text_body("later", at=f.NOW))
    core.run()
    core.ingest(text_body("earlier", at=f.NOW - 1), text_body("latest", at=f.NOW + 1))
    core.run()
    assert late == [("later", False), ("earlier", True), ("latest", False)]
    assert (core.event("earlier").late, core.event("latest").late) == (True, False)


def test_conversations_do_not_wait_for_each_other(core: Core) -> None:
    core.on("message", None, core.failing("broken"))
    core.ingest(text_body("broken", "held"), text_body("free", sender=2))
    core.run()
    assert core.seen == ["free"]


# Hold and skip


def test_a_failing_event_holds_its_lane_until_it_succeeds(core: Core) -> None:
    core.on("message", None, core.failing("first"))
    core.ingest(text_body("first", "second"))
    lane = only_lane(core)
    assert [step.outcome for step in core.run()] == [Outcome.FAILED]
    assert core.advance(lane).outcome is Outcome.WAITING
    assert core.seen == []
    core.broken.clear()
    core.make_due()
    assert core.advance(lane).outcome is Outcome.EMPTY
    assert core.seen == ["first", "second"]


def test_a_dead_event_lets_its_lane_go_on(core: Core) -> None:
    core.on("message", None, core.failing("first"), max_attempts=1)
    core.ingest(text_body("first", "second"))
    core.run()
    assert core.seen == ["second"]
    assert core.event("first").state == "dead"


def test_an_event_that_skips_lets_the_lane_go_on_while_it_waits(core: Core) -> None:
    core.on("message", None, core.failing("first"), on_failure="skip")
    core.ingest(text_body("first", "second"))
    lane = only_lane(core)
    core.run()
    assert core.seen == ["second"]
    core.broken.clear()
    core.make_due()
    core.advance(lane)
    assert core.seen == ["second", "first"]
    assert core.event("first").late


def test_an_event_that_skips_is_not_lost_when_a_worker_dies_under_its_second_attempt(core: Core) -> None:
    core.on("message", None, core.failing("first"), on_failure="skip")
    core.ingest(text_body("first"))
    lane = only_lane(core)
    core.run()
    core.broken.clear()
    core.make_due()
    core.kill_worker_in(lane)
    core.let_leases_run_out()
    core.advance(lane)
    assert core.seen == ["first"]


# Several events at a time


def quick(core: Core) -> Lanes:
    """A worker whose handlers have all been quick lately."""
    lanes = core.lanes()
    for _ in range(REMEMBERED):
        lanes.batch_sizer.record(0)
    return lanes


def test_a_quick_worker_runs_all_of_a_lane_in_order_and_counts_each_attempt(core: Core) -> None:
    core.on("message")
    words = [f"{number}" for number in range(10)]
    core.ingest(text_body(*words))
    (step,) = advanced(quick(core), [only_lane(core)])
    assert (core.seen, step.outcome) == (words, Outcome.EMPTY)
    assert {core.event(each).attempts for each in words} == {1}


def test_behind_an_event_that_fails_nothing_of_its_lane_is_run(core: Core) -> None:
    core.on("message", None, core.failing("second"))
    core.ingest(text_body("first", "second", "third"))
    (step,) = advanced(quick(core), [only_lane(core)])
    assert (core.seen, step.outcome, core.event("third").attempts) == (["first"], Outcome.FAILED, 0)


def test_an_event_waits_for_an_earlier_delivery_and_the_events_before_it_do_not(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("first"))
    core.accept(text_body("second"))
    core.ingest(text_body("third"))
    lane = core.wakes_in_queue()[0]
    (step,) = advanced(quick(core), [lane], 0)
    assert (core.seen, step.outcome) == (["first"], Outcome.DONE)
    (step,) = advanced(quick(core), [lane], 0)
    assert (core.seen, step.outcome) == (["first"], Outcome.AWAITING_EARLIER)


def test_waiting_for_an_earlier_delivery_reads_no_heads_until_it_is_stored(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    core.on("message")
    core.accept(text_body("earlier"))
    core.ingest(text_body("later"))
    lane = only_lane(core)
    reads, asks = [], []
    heads, take = LaneStatements.heads, Claims.take

    def count_reads(self: LaneStatements, *asked: Any) -> Any:
        reads.append(asked)
        return heads(self, *asked)

    def store_at_the_third_ask(self: Claims, claims: Sequence[Claim]) -> Taken:
        if not claims:
            asks.append(len(reads))
        if len(asks) == 3:
            core.ingest_waiting()
        return take(self, claims)

    monkeypatch.setattr(LaneStatements, "heads", count_reads)
    monkeypatch.setattr(Claims, "take", store_at_the_third_ask)
    advanced(quick(core), [lane])
    assert core.seen == ["earlier", "later"]
    assert asks[:3] == [1, 1, 1]


def test_a_conversation_that_is_paused_meanwhile_runs_no_further_event(core: Core) -> None:
    def pause(event: Event, ctx: Context) -> None:
        core.note(event, ctx)
        pauses.pause(core.engine, only_lane(core), "ada")

    core.on("message", None, pause)
    core.ingest(text_body("first", "second"))
    (step,) = advanced(quick(core), [only_lane(core)])
    assert (core.seen, step.outcome) == (["first"], Outcome.PAUSED)


# Settling


def test_an_earlier_delivery_in_the_journal_holds_the_lane(core: Core) -> None:
    core.on("message")
    core.accept(text_body("earlier"))
    core.ingest(text_body("later"))
    lane = only_lane(core)
    assert core.step(lane).outcome is Outcome.AWAITING_EARLIER
    core.ingest_waiting()
    core.run()
    assert core.seen == ["earlier", "later"]


def test_a_later_delivery_in_the_journal_does_not_hold_the_lane(core: Core) -> None:
    core.on("message")
    core.ingest(text_body("earlier"))
    core.accept(text_body("later"))
    assert core.step(only_lane(core)).outcome is Outcome.DONE


def test_a_delivery_that_stays_in_the_journal_holds_no_lane_for_longer_than_the_settling_time(
    core: Core,
) -> None:
    core.on("message")
    core.accept(text_body("stuck"), at_ms=now_ms(core.redis) - SETTLE_SECONDS * 1000 - 1)
    core.ingest(text_body("later"))
    assert core.step(only_lane(core)).outcome is Outcome.DONE


def test_an_old_delivery_in_the_journal_does_not_hide_a_younger_one(core: Core) -> None:
    core.on("message")
    core.accept(text_body("stuck"), at_ms=now_ms(core.redis) - SETTLE_SECONDS * 1000 - 1)
    core.accept(text_body("earlier"))
    core.ingest(text_body("later"))
    assert core.step(only_lane(core)).outcome is Outcome.AWAITING_EARLIER


@pytest.mark.parametrize(("age", "expected"), [(0, Outcome.AWAITING_EARLIER), (SETTLE_SECONDS, Outcome.DONE)])
def test_an_earlier_delivery_in_the_fallback_store_holds_the_lane_for_a_while(
    core: Core, age: float, expected: Outcome
) -> None:
    core.on("message")
    core.accept_in_fallback_store(text_body("earlier"), age)
    core.ingest(text_body("later"))
    assert core.step(only_lane(core)).outcome is expected
