"""With ``join`` a target is posted what a user writes within moments as one list, once, whatever fails in between."""

import asyncio

import pytest

from app import dead_letters, replays
from app.recovery import left_members
from app.targets.answers import TargetAnswer
from tests.helpers import factories as f
from tests.helpers.core import text_body
from tests.integration.targets.conftest import FakeTarget, Targets

FAILED = TargetAnswer(500)


@pytest.fixture
def crm(targets: Targets) -> FakeTarget:
    return targets.add(join=2.0)


def says(targets: Targets, *texts: str, at: int = 0, sender: int = 1) -> None:
    targets.core.ingest(text_body(*texts, at=f.NOW + at, sender=sender))


def sends_a_picture(targets: Targets, at: int = 0, sender: int = 1) -> None:
    message = f.message("image", number=f"i{sender}", timestamp=str(f.NOW + at), sender=sender)
    targets.core.ingest(f.body(f.messages(message)))


def run_quiet(targets: Targets) -> None:
    """The users have been quiet for long enough."""
    targets.core.execute("UPDATE jobs SET quiet_at = clock_timestamp() WHERE quiet_at IS NOT NULL")
    targets.run()


def test_what_is_written_within_moments_is_posted_as_one_list_once_the_user_is_quiet(
    targets: Targets, crm: FakeTarget
) -> None:
    says(targets, "one")
    says(targets, "two", at=1)
    says(targets, "mine", sender=2)
    targets.run()
    assert crm.texts == []
    run_quiet(targets)
    assert sorted(crm.texts) == ["mine", "one + two"]
    assert f"evt_{targets.core.event('one').id}_crm" in crm.ids
    assert targets.core.states() == {"done": 3}


def test_what_is_no_text_flushes_and_is_a_list_of_its_own(targets: Targets, crm: FakeTarget) -> None:
    says(targets, "one", "two")
    sends_a_picture(targets)
    says(targets, "three", at=1)
    targets.run()
    assert crm.texts == ["one + two", "[image]"]
    run_quiet(targets)
    assert crm.texts == ["one + two", "[image]", "three"]


def test_what_gathers_takes_no_room_from_others(targets: Targets) -> None:
    crm = targets.add("narrow", join=2.0, concurrency=1)
    for sender in (1, 2, 3):
        says(targets, f"hi {sender}", sender=sender)
    sends_a_picture(targets, sender=4)
    targets.run()
    assert crm.texts == ["[image]"]


def test_another_attempt_posts_the_same_list_under_the_same_id(targets: Targets, crm: FakeTarget) -> None:
    crm.answers["one + two"] = [FAILED]
    says(targets, "one", "two")
    run_quiet(targets)
    says(targets, "three")
    targets.core.make_due()
    run_quiet(targets)
    assert crm.texts == ["one + two", "one + two", "three"]
    assert crm.ids[0] == crm.ids[1] != crm.ids[2]
    assert [content["data"]["events"][0]["attempt"] for _, content in crm.seen] == [1, 2, 1]
    assert targets.core.states() == {"done": 3}


def test_a_forwarder_that_is_killed_costs_no_message_and_changes_no_list(
    targets: Targets, crm: FakeTarget
) -> None:
    says(targets, "one", "two")
    targets.core.execute("UPDATE jobs SET quiet_at = clock_timestamp()")
    targets.kill_in_the_middle()
    says(targets, "three")
    run_quiet(targets)
    assert crm.texts == ["one + two"]
    targets.let_leases_run_out()
    with targets.core.engine.begin() as connection:
        left_members.free(connection)
    targets.run()
    run_quiet(targets)
    assert crm.texts == ["one + two", "one + two", "three"]
    assert targets.core.states() == {"done": 3}


def test_two_forwarders_never_share_a_burst(targets: Targets, crm: FakeTarget) -> None:
    says(targets, "one", "two")
    targets.core.execute("UPDATE jobs SET quiet_at = clock_timestamp()")
    one, other = targets.forwarder(), targets.forwarder("other")

    async def both() -> None:
        await asyncio.gather(one.turn(), other.turn())
        await asyncio.gather(one.drained(), other.drained())

    asyncio.run(both())
    assert crm.texts == ["one + two"]


def test_all_of_a_burst_die_and_come_back_together(targets: Targets, crm: FakeTarget) -> None:
    crm.answers["one + two"] = [FAILED]
    core = targets.core
    says(targets, "one", "two")
    core.execute("UPDATE jobs SET since = since - interval '9 days'")
    run_quiet(targets)
    assert core.states() == {"dead": 2}
    result = dead_letters.retry(core.engine, core.redis, core.registry, [core.event("two").id], "ada")
    assert len(result.changed) == 2
    targets.run()
    assert crm.texts == ["one + two", "one + two"]
    assert core.states() == {"done": 2}


def test_a_replay_posts_the_same_list_under_another_id(targets: Targets, crm: FakeTarget) -> None:
    core = targets.core
    says(targets, "one", "two")
    run_quiet(targets)
    begun = replays.start(core.engine, replays.Choice(), "ada", "a test", 2)
    replays.make_jobs(core.engine, core.redis, core.registry, begun, [core.event("two").event_id])
    targets.run()
    assert crm.texts == ["one + two", "one + two"]
    assert crm.ids[1] == f"{crm.ids[0]}_{begun.id}"


def test_what_a_target_answers_to_a_list_leaves_once(targets: Targets, crm: FakeTarget) -> None:
    crm.answers["one + two"] = [TargetAnswer(200, body=b'{"replies": [{"text": "yes"}]}')]
    says(targets, "one", "two")
    run_quiet(targets)
    assert targets.core.value("SELECT count(*) FROM sends") == 1
    assert targets.core.states() == {"done": 2}


def test_a_payload_function_is_given_the_list(targets: Targets, crm: FakeTarget) -> None:
    targets.functions["crm"] = lambda events, body: {
        "data": {"text": str([event.text for event in events]), "type": body["type"]}
    }
    says(targets, "one", "two")
    run_quiet(targets)
    assert crm.texts == ["['one', 'two']"]
