"""Each event reaches its target at least once under one id, in order in each conversation, and nobody else waits."""

import asyncio
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from app import dead_letters
from app.handlers import Event
from app.targets import lost, pauses
from app.targets.answers import TargetAnswer
from app.targets.rows import TargetAttempt
from app.targets.statements import TargetStatements
from app.targets.target import Target
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.waiting import until
from tests.integration.targets.conftest import DONE, Targets

FAILED = TargetAnswer(500, body=b"no space left")

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


def test_a_target_gets_each_event_once_and_in_order(targets: Targets) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("a", "b"), text_body("c"), text_body("d", sender=2))
    targets.run()
    assert sorted(crm.texts) == ["a", "b", "c", "d"]
    assert [text for text in crm.texts if text != "d"] == ["a", "b", "c"]
    assert targets.core.states() == {"done": 4}
    assert crm.ids == [f"evt_{content['data']['id']}_crm" for _, content in crm.seen]


def test_workers_leave_the_jobs_of_targets_alone(targets: Targets) -> None:
    targets.add()
    core = targets.core
    core.on("message")
    core.ingest(text_body("a"))
    core.run()
    assert core.seen == ["a"]
    ((lane,),) = core.rows("SELECT lane FROM jobs")
    assert core.step(lane).outcome == "empty"
    assert core.states() == {"done": 1, "pending": 1}


def test_what_fails_is_posted_again_under_its_id_and_holds_its_conversation_alone(targets: Targets) -> None:
    crm = targets.add()
    crm.answers["a"] = [FAILED]
    targets.core.ingest(text_body("a", "b"), text_body("c", sender=2))
    targets.run()
    assert sorted(crm.texts) == ["a", "c"]
    (attempt,) = targets.core.attempts_of("a")
    assert (attempt.error, attempt.answer) == ("answered 500", "500 no space left")
    targets.core.make_due()
    targets.run()
    assert [text for text in crm.texts if text != "c"] == ["a", "a", "b"]
    assert len(set(crm.ids)) == 3


def test_what_a_forwarder_that_died_has_posted_is_posted_again_when_its_lease_is_over(
    targets: Targets,
) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("a", "b"))
    targets.kill_in_the_middle()
    targets.run()
    assert crm.texts == ["a"]
    targets.let_leases_run_out()
    targets.run()
    assert crm.texts == ["a", "a", "b"]
    assert crm.ids[0] == crm.ids[1]
    assert [attempt.finished_at is None for attempt in targets.core.attempts_of("a")] == [True, False]


def test_what_a_dead_forwarder_had_is_posted_again_as_soon_as_it_is_missed(targets: Targets) -> None:
    crm = targets.add()
    core = targets.core
    core.ingest(text_body("a", "b"), text_body("c", sender=2))
    targets.kill_in_the_middle("forwarder@killed/1")
    assert lost.release(core.engine, core.redis, "worker") == 0  # of another kind
    assert lost.release(core.engine, core.redis, "forwarder@other/1") == 0
    assert lost.release(core.engine, core.redis, "forwarder@killed/1") == 2
    targets.run()
    assert sorted(crm.texts) == ["a", "a", "b", "c", "c"]
    assert len(set(crm.ids)) == 3
    assert [attempt.finished_at is None for attempt in core.attempts_of("a")] == [True, False]


def test_a_job_that_ends_each_forwarder_waits_a_little(targets: Targets) -> None:
    crm = targets.add()
    core = targets.core
    core.ingest(text_body("a"))
    for _ in range(2):
        targets.kill_in_the_middle("forwarder@killed/1")
        lost.release(core.engine, core.redis, "forwarder@killed/1")
    targets.run()
    assert len(crm.seen) == 2
    core.make_due()
    targets.run()
    assert len(crm.seen) == 3


def test_a_forwarder_that_stood_still_posts_nothing_that_others_may_have_begun(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.targets.forwarder.SURE_SECONDS", 0.2)
    crm = targets.add()
    core = targets.core
    core.ingest(text_body("a", "b"))
    stopped = targets.forwarder("forwarder@stopped/1")
    take = stopped.statements.take

    def stand_still(rooms: Mapping[str, int], known: Mapping[str, Target]) -> list[TargetAttempt]:
        taken = take(rooms, known)
        time.sleep(0.3)
        return taken

    async def miss_it() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(TargetStatements, "take", lambda _, *given: stand_still(*given))
            await stopped.turn()
        lost.release(core.engine, core.redis, "forwarder@stopped/1")
        other = targets.forwarder()
        await other.turn()
        await other.drained()
        await stopped.drained()

    asyncio.run(miss_it())
    assert crm.texts == ["a"]
    targets.run(stopped)
    assert crm.texts == ["a", "b"]
    assert core.states() == {"done": 2}


def test_an_answer_that_comes_after_the_lease_changes_nothing(targets: Targets) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("a"))
    stalled = targets.forwarder("stalled")

    crm.answers["a"] = [DONE, FAILED]

    async def stall() -> None:
        await stalled.turn()
        await asyncio.sleep(0)
        targets.let_leases_run_out()
        other = targets.forwarder()
        await other.turn()
        await other.drained()
        await stalled.drained()

    asyncio.run(stall())
    assert targets.core.states() == {"pending": 1}
    assert [attempt.error for attempt in targets.core.attempts_of("a")] == [None, "answered 500"]


def test_an_earlier_event_that_comes_meanwhile_waits_for_the_answer(targets: Targets) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("later", at=f.NOW + 10))
    forwarder = targets.forwarder()

    async def overtake() -> None:
        await forwarder.turn()
        targets.core.ingest(text_body("earlier", at=f.NOW))
        other = targets.forwarder("other")
        assert not await other.turn()
        await forwarder.drained()
        other.look_again()
        assert await other.turn()
        await other.drained()

    asyncio.run(overtake())
    assert crm.texts == ["later", "earlier"]
    assert [content["data"]["late"] for _, content in crm.seen] == [False, True]


def test_an_earlier_event_waits_for_an_attempt_that_another_forwarder_begins_at_the_same_moment(
    targets: Targets,
) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("later", at=f.NOW + 10))
    other = targets.forwarder("other")
    with targets.core.engine.connect() as beginning:  # it is asked for, and not committed yet
        beginning.execute(
            text("""
            UPDATE jobs SET attempts = 1, worker = 'first', begun_at = clock_timestamp();
            UPDATE lanes SET current_job_id = (SELECT id FROM jobs) WHERE id = (SELECT lane FROM jobs)
            """)
        )
        targets.core.ingest(text_body("earlier", at=f.NOW))
        with ThreadPoolExecutor(1) as pool:
            turn = pool.submit(lambda: asyncio.run(other.turn()))
            until(lambda: turn.done() or targets.core.value(WAITING))
            beginning.commit()
            assert not turn.result()
    assert crm.texts == []


def test_a_target_that_hangs_holds_no_other(targets: Targets) -> None:
    slow, fast = targets.add("slow", concurrency=2), targets.add("fast")
    for user in range(1, 6):
        slow.answers[f"m{user}"] = [None]
        targets.core.ingest(text_body(f"m{user}", sender=user))

    async def forward() -> None:
        forwarder = targets.forwarder()
        for _ in range(5):
            await forwarder.turn()
            await asyncio.sleep(0.01)

    asyncio.run(forward())
    assert (len(slow.seen), len(fast.seen)) == (2, 5)


def test_what_was_accepted_earlier_and_is_not_stored_yet_is_waited_for(targets: Targets) -> None:
    crm = targets.add()
    core = targets.core
    (first,) = core.accept(text_body("first"))
    core.ingest(text_body("second", at=f.NOW))
    targets.run()
    assert crm.texts == []
    core.ingest_as((first, text_body("first")))
    targets.run()
    assert crm.texts == ["first", "second"]


def test_a_dead_letter_is_seen_and_retried_as_any_other(targets: Targets) -> None:
    crm = targets.add()
    crm.answers["a"] = [FAILED]
    core = targets.core
    core.ingest(text_body("a", "b"))
    core.execute("UPDATE jobs SET since = since - interval '9 days'")
    targets.run()
    assert core.states() == {"dead": 1, "done": 1}
    assert core.dead_queue() == [core.event("a").id]
    assert "given up after 1 attempts in 8 days: answered 500" in core.event("a").error
    dead_letters.retry(core.engine, core.redis, core.registry, [core.event("a").id], "ada")
    targets.run()
    assert core.states() == {"done": 2}
    assert crm.texts == ["a", "b", "a"]


def test_a_target_that_is_gone_is_stopped_and_its_jobs_wait(targets: Targets) -> None:
    crm = targets.add()
    crm.answers["a"] = [TargetAnswer(410)]
    core = targets.core
    core.ingest(text_body("a", "b"))
    forwarder = targets.run()
    assert forwarder.paused == forwarder.statements.paused(["crm"]) == {"crm"}
    assert core.event("a").attempts_at_retry == 1  # it was not counted
    assert pauses.resume(core.engine, "crm", "ada")
    core.make_due()
    targets.run()
    assert crm.texts == ["a", "a", "b"]


def test_a_paused_lane_waits_and_the_others_go_on(targets: Targets) -> None:
    crm = targets.add()
    core = targets.core
    core.ingest(text_body("a"), text_body("b", sender=2))
    core.execute(
        "UPDATE lanes SET paused_at = now(), paused_by = 'ada' WHERE id = (SELECT lane FROM jobs WHERE id = :id)",
        id=core.event("a").id,
    )
    targets.run()
    assert crm.texts == ["b"]


def test_the_jobs_of_a_target_that_was_taken_out_wait_and_are_said(targets: Targets) -> None:
    targets.add("old")
    targets.core.ingest(text_body("a"))
    del targets.targets["old"], targets.fakes["old"]
    targets.add("new")
    forwarder = targets.run()
    assert forwarder.statements.unknown(list(targets.targets.values())) == ["target:old"]
    assert targets.core.states() == {"pending": 1}


def test_more_lanes_than_are_looked_at_at_a_time_all_get_their_turn(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.targets.statements.LANES_LOOKED_AT", 2)
    crm = targets.add(concurrency=1)
    for user in range(1, 6):
        targets.core.ingest(text_body(f"m{user}", sender=user))
    targets.run()
    assert sorted(crm.texts) == ["m1", "m2", "m3", "m4", "m5"]


def test_a_replay_has_an_id_of_its_own(targets: Targets) -> None:
    crm = targets.add()
    core = targets.core
    core.ingest(text_body("a"))
    targets.run()
    core.execute(
        "INSERT INTO jobs (id, event_id, lane, lane_name_id, occurred_at, delivery_id, position, since, handler,"
        " replay_id) SELECT nextval('events_id_seq'), o.event_id, o.lane, o.lane_name_id, e.occurred_at,"
        " e.delivery_id, e.position, now(), o.handler, :replay FROM outcomes o JOIN events e ON e.id = o.event_id",
        replay=1,
    )
    targets.run()
    assert crm.ids == [crm.ids[0], f"{crm.ids[0]}_1"]
    assert [content["data"]["replayed"] for _, content in crm.seen] == [False, True]


def test_a_rate_is_kept(targets: Targets) -> None:
    crm = targets.add(rate=0.001)
    targets.core.ingest(text_body("a"), text_body("b", sender=2))
    targets.run()
    assert len(crm.seen) == 1


def test_events_of_a_merged_conversation_go_on_in_its_lane(targets: Targets, core: Core) -> None:
    crm = targets.add()
    core.ingest(
        f.body(f.messages(f.text_message("a", number="a", sender=1, from_user_id=None))),
        f.body(f.messages(f.text_message("b", number="b", sender=1, **{"from": None}))),
    )
    core.ingest(f.body(f.messages(f.text_message("c", number="c", sender=1))))
    targets.run()
    assert crm.texts == ["a", "b", "c"]
    assert core.value("SELECT count(*) FROM lanes WHERE lane_name_id < 0 AND merged_into IS NULL") == 1


def test_what_comes_while_the_stores_are_asked_is_begun_at_once(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("before"))
    targets.run()
    forwarder = targets.forwarder()
    take = forwarder.statements.take

    def slow(*given: Any) -> Any:
        found = take(*given)
        if not targets.core.rows("SELECT FROM events WHERE id > 1"):
            targets.core.ingest(text_body("meanwhile"))
            forwarder.look_again()
        return found

    monkeypatch.setattr(type(forwarder.statements), "take", lambda _self, *given: slow(*given))

    async def two_turns() -> None:
        assert not await forwarder.turn()
        assert await forwarder.turn()
        await forwarder.drained()

    asyncio.run(two_turns())
    assert crm.texts == ["before", "meanwhile"]


def test_what_others_see_of_a_failure_quotes_nobody(targets: Targets) -> None:
    def raises(event: Event, _content: Any) -> Any:
        raise KeyError(event.item["from"], event.text)

    targets.add()
    targets.functions["crm"] = raises
    targets.core.ingest(text_body("quiet words"))
    error = targets.run().last_errors["crm"]
    assert "KeyError" in error
    assert f.phone(1) not in error
    assert "quiet words" not in error
