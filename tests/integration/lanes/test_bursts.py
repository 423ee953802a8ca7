"""What a user sends within moments of each other is handed to the handler as one list, once, whatever dies."""

from collections.abc import Sequence

import pytest

from app import dead_letters, replays
from app.handlers import Context, Event
from app.handlers.registration import Handler
from app.handlers.retry import RetryPolicy
from app.lanes import pauses
from app.lanes.outcome import Outcome
from app.recovery import left_members, sweeper
from app.views import timeline
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body

HOUR = 3600
JOIN_SECONDS = 2.0


@pytest.fixture
def joined(core: Core) -> list[list[str]]:
    """The lists that the handler of texts was given; texts in ``core.broken`` fail."""
    lists: list[list[str]] = []

    def take(events: Sequence[Event], _ctx: Context) -> None:
        texts = [event.text or "" for event in events]
        if core.broken & set(texts):
            raise ValueError
        lists.append(texts)

    handler = Handler("tests.take", take, RetryPolicy(2, HOUR, HOUR), "hold", None, join_seconds=JOIN_SECONDS)
    core.registry.add("message", "text", handler)
    core.on("message", "image")
    return lists


def says(core: Core, *texts: str, at: int = 0) -> int:
    core.ingest(text_body(*texts, at=f.NOW + at))
    return int(core.event(texts[0]).lane)


def sends_a_picture(core: Core, at: int = 0) -> None:
    core.ingest(f.body(f.messages(f.message("image", number="i", timestamp=str(f.NOW + at)))))


def is_quiet(core: Core) -> list[int]:
    """The user has been quiet for long enough, and the sweep has come."""
    core.execute("UPDATE jobs SET quiet_at = clock_timestamp() WHERE quiet_at IS NOT NULL")
    with core.engine.connect() as connection:
        return sweeper.due_lanes(connection)


def run_quiet(core: Core) -> None:
    for lane in is_quiet(core):
        core.advance(lane)


# When a burst is complete


def test_what_is_sent_within_moments_is_one_list_once_the_user_is_quiet(
    core: Core, joined: list[list[str]]
) -> None:
    lane = says(core, "one")
    says(core, "two", at=1)
    says(core, "three", at=3)
    assert core.step(lane).outcome is Outcome.GATHERING
    assert is_quiet(core) == [lane]
    core.advance(lane)
    assert joined == [["one", "two", "three"]]
    assert core.states() == {"done": 3}


def test_a_message_alone_is_a_list_of_one(core: Core, joined: list[list[str]]) -> None:
    says(core, "one")
    run_quiet(core)
    assert joined == [["one"]]


def test_what_the_handler_does_not_join_flushes(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "one", "two")
    sends_a_picture(core)
    says(core, "three", at=1)
    assert core.advance(lane).outcome is Outcome.GATHERING
    assert joined == [["one", "two"]]
    assert core.seen == ["image"]
    run_quiet(core)
    assert joined == [["one", "two"], ["three"]]


def test_what_was_sent_later_than_that_is_another_burst(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "one")
    says(core, "two", at=2)
    says(core, "three", at=5)
    core.advance(lane)
    assert joined == [["one", "two"]]
    run_quiet(core)
    assert joined == [["one", "two"], ["three"]]


def test_a_burst_has_fifty_messages_and_lasts_eight_seconds_at_most(
    core: Core, joined: list[list[str]]
) -> None:
    lane = says(core, *(f"{number}" for number in range(60)))
    core.advance(lane)
    run_quiet(core)
    assert [len(texts) for texts in joined] == [50, 10]
    joined.clear()
    for second in range(0, 12, 2):
        says(core, f"at {second}", at=100 + second)
    core.advance(lane)
    run_quiet(core)
    assert joined == [["at 0", "at 2", "at 4", "at 6", "at 8"], ["at 10"]]


def test_a_user_who_never_stops_is_not_waited_for(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "one", "two")
    core.execute(
        "UPDATE jobs SET quiet_at = quiet_at - interval '8.1 seconds' WHERE id = :id", id=core.event("one").id
    )
    core.advance(lane)
    assert joined == [["one", "two"]]


def test_users_are_not_joined_with_each_other(core: Core, joined: list[list[str]]) -> None:
    core.ingest(text_body("mine"), text_body("yours", sender=2))
    run_quiet(core)
    assert sorted(joined) == [["mine"], ["yours"]]


def test_nothing_waits_where_nothing_is_joined(core: Core) -> None:
    core.on("message")
    says(core, "one", "two")
    core.run()
    assert core.seen == ["one", "two"]


# The same list, whatever happens


def test_a_retry_gets_the_same_list_and_what_comes_meanwhile_is_the_next(
    core: Core, joined: list[list[str]]
) -> None:
    core.broken.add("two")
    lane = says(core, "one", "two")
    run_quiet(core)
    says(core, "three", at=1)
    core.broken.clear()
    core.make_due()
    core.advance(lane)
    run_quiet(core)
    assert joined == [["one", "two"], ["three"]]
    assert core.states() == {"done": 3}


@pytest.mark.parametrize("comes_meanwhile", [True, False])
def test_a_worker_that_is_killed_under_a_burst_costs_nothing(
    core: Core, joined: list[list[str]], comes_meanwhile: bool
) -> None:
    lane = says(core, "one", "two")
    is_quiet(core)
    core.kill_worker_in(lane)
    core.let_leases_run_out()
    if comes_meanwhile:
        says(core, "three")
    core.advance(lane)
    run_quiet(core)
    assert joined == [["one", "two"], *([["three"]] if comes_meanwhile else [])]


def test_a_worker_that_is_killed_before_the_attempt_begins_costs_nothing(
    core: Core, joined: list[list[str]]
) -> None:
    lane = says(core, "one", "two")
    is_quiet(core)
    with core.lanes().runner() as runner:
        (head, *_) = runner.statements.heads([lane], 1, 0)[lane]
        assert runner.statements.join(head, JOIN_SECONDS)
    says(core, "three")
    core.advance(lane)
    assert joined == [["one", "two"]]


def test_all_of_a_burst_die_and_come_back_together(core: Core, joined: list[list[str]]) -> None:
    core.broken.add("two")
    lane = says(core, "one", "two", "three")
    run_quiet(core)
    core.make_due()
    core.advance(lane)
    assert core.states() == {"dead": 3}
    core.broken.clear()
    result = dead_letters.retry(core.engine, core.redis, core.registry, [core.event("two").id], "ada")
    assert len(result.changed) == 3
    core.advance(lane)
    assert joined == [["one", "two", "three"]]


def test_a_burst_is_discarded_or_skipped_as_a_whole(core: Core, joined: list[list[str]]) -> None:
    core.broken.update({"two", "four"})
    lane = says(core, "one", "two")
    run_quiet(core)
    core.make_due()
    core.advance(lane)
    dead_letters.discard(core.engine, core.redis, [core.event("two").id], "ada", "a test")
    assert core.states() == {"discarded": 2}
    says(core, "three", "four", at=10)
    run_quiet(core)
    result = dead_letters.skip_held(core.engine, core.redis, [core.event("four").id], "ada", "a test")
    assert len(result.changed) == 2
    assert core.states() == {"discarded": 2, "skipped": 2}
    assert joined == []


def test_an_edited_message_is_run_with_the_others_of_its_burst(core: Core, joined: list[list[str]]) -> None:
    core.broken.add("two")
    lane = says(core, "one", "two", "three")
    run_quiet(core)
    core.make_due()
    core.advance(lane)
    payload = core.event("two").payload.replace('"two"', '"2"')
    result = dead_letters.edit(core.engine, core.redis, core.event("two").id, payload, "ada")
    assert len(result.changed) == 3
    core.advance(lane)
    assert joined == [["one", "2", "three"]]


def test_a_replay_joins_what_was_joined(core: Core, joined: list[list[str]]) -> None:
    says(core, "one", "two")
    run_quiet(core)
    lane = says(core, "three", "four", at=1)
    run_quiet(core)
    before, joined[:] = list(joined), []
    begun = replays.start(core.engine, replays.Choice(), "ada", "a test", 4)
    for words in ("two", "one", "three"):
        replays.make_jobs(
            core.engine,
            core.redis,
            core.registry,
            begun,
            [core.rows("SELECT id FROM events WHERE key = :key", key=f"message:{f.wamid(words)}")[0].id],
        )
        core.advance(lane)
    assert joined == before
    core.advance(lane)
    assert core.states() == {"done": 8}


def test_a_pause_that_skips_takes_what_was_not_begun(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "one")
    pauses.pause(core.engine, lane, "ada", HOUR, skips=True)
    says(core, "two", at=1)
    run_quiet(core)
    pauses.resume(core.engine, core.redis, lane, "ada")
    run_quiet(core)
    core.advance(lane)
    assert joined == [["one"]]
    assert core.states() == {"done": 1, "skipped": 1}


def test_the_timeline_of_each_says_that_it_was_joined(core: Core, joined: list[list[str]]) -> None:
    says(core, "one", "two")
    run_quiet(core)
    first, second = core.event("one").id, core.event("two").id
    for words in ("one", "two"):
        with core.engine.connect() as connection:
            (shown,) = timeline.find_timelines(connection, f.wamid(words))
        (moment,) = (each for each in shown.moments if each.what == "joined")
        assert moment.detail["jobs"] == f"{first}, {second}"
    assert joined == [["one", "two"]]


def test_a_lane_whose_first_job_is_late_runs_it_before_the_burst(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "two", at=10)
    says(core, "one")
    core.advance(lane)
    run_quiet(core)
    assert joined == [["one"], ["two"]]


def test_what_was_to_run_with_a_job_that_is_gone_runs_by_itself(core: Core, joined: list[list[str]]) -> None:
    lane = says(core, "one", "two", "three")
    is_quiet(core)
    with core.lanes().runner() as runner:
        (head, *_) = runner.statements.heads([lane], 1, 0)[lane]
        assert runner.statements.join(head, JOIN_SECONDS)
    core.execute("DELETE FROM jobs WHERE id = :id", id=head.id)
    assert core.advance(lane).outcome is Outcome.EMPTY
    with core.engine.begin() as connection:
        left_members.free(connection)
    core.advance(lane)
    assert joined == [["two", "three"]]
