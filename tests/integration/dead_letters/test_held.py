"""Events that wait for their next attempt: a person hurries or skips them, and nothing else changes."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app import dead_letters
from app.handlers import Context, Event
from app.lanes.outcome import Outcome
from app.recovery import retention
from app.views import Filter, held
from app.watch import backlog
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body

pytestmark = pytest.mark.core(messages="failing")

UNKNOWN = 10**9
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def hold(core: Core, *texts: str, **more: Any) -> list[int]:
    """Let each of these texts fail its first attempt, in one conversation, the first holding up the others."""
    core.broken.update(texts)
    core.ingest(text_body(*texts, **more))
    core.run()
    return [int(core.event(words).id) for words in texts]


def retry(core: Core, *ids: int) -> dead_letters.ActionResult:
    return dead_letters.retry_held(core.engine, core.redis, ids, "ada")


def skip(core: Core, *ids: int) -> dead_letters.ActionResult:
    return dead_letters.skip_held(core.engine, core.redis, ids, "ada", "a test")


def actions(core: Core) -> list[tuple[Any, ...]]:
    rows = core.rows("SELECT event_id, action, who, reason FROM dead_letter_actions ORDER BY id")
    return [tuple(row) for row in rows]


def test_a_retried_event_runs_now_and_before_what_waits_behind_it(core: Core) -> None:
    first, _ = hold(core, "first", "second")
    core.broken.clear()
    core.run()
    assert core.seen == []  # its next attempt is an hour away
    assert retry(core, first).changed == [first]
    core.run()
    assert core.seen == ["first", "second"]
    assert actions(core) == [(first, "retry_held", "ada", None)]


def test_a_retry_counts_attempts_from_one_again(core: Core) -> None:
    (id_,) = hold(core, "again")
    for _ in range(4):  # of 3 that its handler may have
        retry(core, id_)
        core.run()
    assert core.event("again").state == "pending"
    assert core.event("again").attempts == 5


def test_a_skipped_event_is_kept_with_who_and_why_and_its_conversation_goes_on(core: Core) -> None:
    first, _ = hold(core, "first", "second")
    core.broken.remove("second")
    assert skip(core, first).changed == [first]
    core.run()
    assert core.seen == ["second"]
    assert core.event("first").state == "skipped"
    assert core.event("first").due_at is None
    assert core.event("first").error == "ValueError: cannot handle first"
    assert actions(core) == [(first, "skip", "ada", "a test")]


def test_what_waits_for_no_attempt_is_left_alone_with_a_sentence(core: Core) -> None:
    first, behind = hold(core, "first", "behind")
    core.on("message", "image")
    core.ingest(f.body(f.messages(f.message("image", number=7, sender=2))))
    core.run()
    done = int(core.value("SELECT id FROM event_jobs WHERE state = 'done'"))
    refused = {
        behind: "it waits for no next attempt: it is being tried, or waits for its turn",
        done: "it is done, not held",
        UNKNOWN: "there is no job with this number",
    }
    assert skip(core, behind, done, UNKNOWN).refused == refused
    assert retry(core, behind, done, UNKNOWN).refused == refused
    assert skip(core, first).changed == [first]
    assert skip(core, first).refused == {first: "it is skipped, not held"}
    assert retry(core, first).refused == {first: "it is skipped, not held"}


def test_an_event_that_is_being_tried_is_not_skipped_under_its_worker(core: Core) -> None:
    (id_,) = hold(core, "slow")
    core.broken.clear()
    core.make_due()
    core.kill_worker_in(core.event("slow").lane)
    assert list(skip(core, id_).refused) == [id_]
    assert core.event("slow").state == "pending"


def test_of_a_skip_and_an_attempt_at_the_same_moment_one_wins(core: Core) -> None:
    (id_,) = hold(core, "contested")
    core.make_due()
    with core.engine.begin() as connection, ThreadPoolExecutor() as threads:
        connection.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": id_})
        skipping = threads.submit(skip, core, id_)

        def fail_after_the_skip(_event: Event, _ctx: Context) -> None:
            skipping.result(WAIT_SECONDS)  # or it might come after the attempt's end, and be right to skip
            raise ValueError

        core.registry.handlers.clear()
        core.on("message", None, fail_after_the_skip)
        core_lane = core.event("contested").lane
        stepping = threads.submit(core.step, core_lane)
        connection.commit()
        skipped = bool(skipping.result(WAIT_SECONDS).changed)
        outcome = stepping.result(WAIT_SECONDS).outcome
    assert core.event("contested").state == ("skipped" if skipped else "pending")
    assert skipped is (outcome in (Outcome.STALE_ATTEMPT, Outcome.EMPTY))
    assert len(core.attempts_of("contested")) == (1 if skipped else 2)


def test_neither_a_hurried_nor_a_skipped_event_counts_as_one_that_died(core: Core) -> None:
    with core.engine.begin() as connection:
        backlog.sample(connection, backlog.measure(core.engine, core.redis, 300))
    hurried, *_ = hold(core, "hurried")
    skipped, *_ = hold(core, "skipped", sender=2)
    retry(core, hurried)
    skip(core, skipped)
    for table, column in {
        "backlog_samples": "at",
        "past_attempts": "finished_at",
        "dead_letter_actions": "at",
    }.items():
        core.execute(f"UPDATE {table} SET {column} = {column} - interval '5 s'")
    with core.engine.begin() as connection:
        backlog.sample(connection, backlog.measure(core.engine, core.redis, 300))
    (sample,) = core.rows("SELECT died, failed_attempts FROM backlog_samples ORDER BY at DESC LIMIT 1")
    assert tuple(sample) == (0, 2)


def test_a_skipped_event_is_purged_when_its_time_has_come(core: Core) -> None:
    (id_,) = hold(core, "old")
    skip(core, id_)
    assert retention.count(core.engine, datetime.now(UTC) + timedelta(seconds=60)) == 1
    core.execute("UPDATE dead_letter_actions SET at = at - interval '30 days'")
    core.execute("UPDATE outcomes SET finished_at = finished_at - interval '30 days'")
    purged = sum(each.events for each in retention.purge(core.engine, datetime.now(UTC) - timedelta(days=10)))
    assert purged == 1
    assert core.states() == {}
    assert actions(core) == []


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        (Filter(kind="message"), "ab"),
        (Filter(type="image"), ""),
        (Filter(handler="tests.message_any"), "ab"),
        (Filter(error="CANNOT handle B"), "b"),
        (Filter(error_class="ValueError"), "ab"),
        (Filter(conversation=f.phone(2)), "b"),
        (Filter(search="cannot handle a"), "a"),
        (Filter(before=LONG_AGO), ""),
        (Filter(after=LONG_AGO), "ab"),
    ],
)
def test_held_events_are_found_by_what_they_are(core: Core, filter_: Filter, expected: str) -> None:
    (a,), (b,) = hold(core, "a"), hold(core, "b", sender=2)
    names = {a: "a", b: "b"}
    with core.engine.connect() as connection:
        events = held.find(connection, filter_)
        assert "".join(sorted(names[event.event_id] for event in events)) == expected
        assert held.LISTING.count(connection, filter_) == len(expected)
        assert set(held.LISTING.whole_lanes(connection, filter_)[0]) == {event.event_id for event in events}


def test_a_dead_letter_that_waits_for_its_slot_of_a_slow_retry_can_be_hurried(core: Core) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("dead"), max_attempts=1)
    (id_,) = hold(core, "dead")
    rate = dead_letters.RetryRate(0.001, datetime.now(UTC), 5)
    dead_letters.retry(core.engine, core.redis, core.registry, [id_], "ada", rate)
    core.broken.clear()
    assert retry(core, id_).changed == [id_]
    core.run()
    assert core.seen == ["dead"]
