"""Events run again: the right ones, once for each handler, in order, with who and why; never in the way of others."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from app.cli.entry import cli
from app.handlers import Context, Event
from app.recovery.retention import cutoff, purge
from app.replays import Choice, TooManyReplays, chosen, make_jobs, running, start, stop
from app.replays.replay import finish
from app.views import replays, timeline
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.recovery.retention import DAYS, age

pytestmark = pytest.mark.core(messages="failing", of_process=True)


def replay(core: Core, **choice: Any) -> int:
    """Make all jobs of a replay; returns how many."""
    wanted = Choice(**choice)
    with core.engine.connect() as connection:
        ids = chosen(connection, wanted)
    begun = start(core.engine, wanted, "ada", "a test", len(ids))
    made = make_jobs(core.engine, core.redis, core.registry, begun, ids)
    assert made is not None
    finish(core.engine, begun)
    return made


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["replay", *arguments])


def done(core: Core, *bodies: f.Json) -> None:
    core.ingest(*bodies)
    core.run()


def test_what_is_done_runs_again_in_its_order_and_the_handler_is_told(core: Core) -> None:
    copied: list[tuple[str, bool, bool]] = []

    def copy(event: Event, ctx: Context) -> None:
        copied.append((event.text or "", ctx.replayed, event.late))

    core.registry.handlers.clear()
    core.on("message", function=copy)
    done(core, text_body("one", "two"), text_body("three", at=f.NOW + 1))
    copied.clear()
    assert replay(core) == 3
    core.run()
    assert copied == [("one", True, False), ("two", True, False), ("three", True, False)]


def test_every_condition_leaves_the_others_out(core: Core) -> None:
    core.on("message", "image")
    core.on("status")
    done(core, text_body("one"), text_body("other", sender=2), f.body(f.statuses(f.status("read", number=9))))
    done(core, f.body(f.messages(f.message("image", number=7, sender=3))))
    conversation = core.event("other").lane
    soon, long_ago = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
    for choice, expected in (
        ({}, 4),
        ({"kind": "status"}, 1),
        ({"type": "text"}, 2),
        ({"conversation": conversation}, 1),
        ({"handler": "tests.message_image"}, 1),
        ({"lane": "crm"}, 0),
        ({"unhandled": True}, 0),
        ({"since": soon}, 0),
        ({"until": long_ago}, 0),
        ({"since": long_ago, "until": soon}, 4),
    ):
        assert replay(core, **choice) == expected, choice
        core.run()


def test_a_handler_that_came_later_gets_what_no_handler_took(core: Core) -> None:
    core.registry.handlers.clear()
    done(core, text_body("one"), text_body("two", at=f.NOW + 1))
    assert core.states() == {"unhandled": 2}
    core.on("message")
    assert replay(core, unhandled=True) == 2
    core.run()
    assert core.seen == ["one", "two"]
    assert replay(core, unhandled=True) == 0


def test_a_lane_name_that_came_later_gets_what_the_others_had(core: Core) -> None:
    done(core, text_body("one"))
    copied: list[str] = []
    core.on("message", function=lambda event, _ctx: copied.append(event.text or ""), lane="crm")
    assert replay(core, unhandled=True) == 1
    core.run()
    assert (core.seen, copied) == (["one"], ["one"])


def test_what_waits_and_what_is_dead_gets_no_second_job(core: Core) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("dead"), max_attempts=1)
    done(core, text_body("dead"))
    core.ingest(text_body("waits", sender=2))
    assert replay(core) == 0
    core.run()
    assert replay(core) == 1
    assert replay(core) == 0


def test_a_replay_never_runs_before_an_older_event_that_waits(core: Core) -> None:
    done(core, text_body("done", at=f.NOW + 5))
    core.ingest(text_body("older", at=f.NOW))
    replay(core)
    core.seen.clear()
    core.run()
    assert core.seen == ["older", "done"]


def test_an_event_that_comes_after_a_replay_is_late_only_if_it_was_before(core: Core) -> None:
    done(core, text_body("one", at=f.NOW), text_body("two", at=f.NOW + 9))
    replay(core)
    core.run()
    core.ingest(text_body("three", at=f.NOW + 10))
    core.run()
    assert core.event("three").late is False
    assert core.seen == ["one", "two", "one", "two", "three"]


def test_who_replayed_what_and_why_is_kept_and_shown(core: Core) -> None:
    done(core, text_body("one"))
    replay(core, type="text")
    core.run()
    (row,) = core.rows("SELECT * FROM replays")
    assert (row.who, row.reason, json.loads(row.chosen), row.jobs) == ("ada", "a test", {"type": "text"}, 1)
    with core.engine.connect() as connection:
        found = timeline.find_timelines(connection, f.wamid("one"))
    assert [each.replay_id for each in found] == [None, row.id]


def test_a_replay_that_is_stopped_takes_back_what_has_not_begun(core: Core) -> None:
    done(core, text_body("one"), text_body("two", sender=2))
    wanted = Choice()
    begun = start(core.engine, wanted, "ada", "a test", 2)
    with core.engine.connect() as connection:
        first, second = chosen(connection, wanted)
    assert make_jobs(core.engine, core.redis, core.registry, begun, [first]) == 1
    assert stop(core.engine, begun.id, "grace") == 1
    assert make_jobs(core.engine, core.redis, core.registry, begun, [second]) is None
    assert stop(core.engine, begun.id, "grace") is None
    assert core.states() == {"done": 2}
    core.run()
    assert core.seen == ["one", "two"]
    assert core.rows("SELECT stopped_by FROM replays") == [("grace",)]


def test_an_event_that_is_replayed_is_not_purged(core: Core) -> None:
    done(core, text_body("one"))
    age(core)
    replay(core)
    list(purge(core.engine, cutoff(core.engine, core.redis, DAYS)))
    core.run()
    assert core.seen == ["one", "one"]


def test_a_body_that_cannot_be_read_is_no_event_for_a_handler(core: Core) -> None:
    core.on("other")
    core.ingest(b"unreadable")
    assert replay(core) == 0


# The command


def test_a_dry_run_counts_by_lane_and_handler_and_makes_no_job(core: Core) -> None:
    core.on("message", lane="crm")
    done(core, text_body("one", "two"))
    result = run("--dry-run")
    assert result.exit_code == 0, result.output
    assert result.output.splitlines() == [
        "2 jobs for tests.message_any_crm in lane crm",
        "2 jobs for tests.message_any in lane main",
        "4 jobs would be made, for 2 events that match",
    ]
    lines = [json.loads(line) for line in run("--dry-run", "--json", "--lane", "crm").output.splitlines()]
    assert lines == [{"lane": "crm", "handler": "tests.message_any_crm", "jobs": 2, "dry_run": True}]
    assert core.value("SELECT count(*) FROM jobs") == 0


def test_the_command_makes_the_jobs_and_says_how_many(core: Core) -> None:
    done(core, text_body("one", "two"))
    result = run("--reason", "the CRM was wrong", "--rate", "1000", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {"replay": 1, "events": 2, "jobs": 2}
    core.run()
    assert core.seen == ["one", "two", "one", "two"]
    assert core.rows("SELECT reason FROM replays") == [("the CRM was wrong",)]


def test_the_command_wants_to_know_why(core: Core) -> None:
    assert "--reason" in run().output


def test_the_command_stops_a_replay(core: Core) -> None:
    done(core, text_body("one"))
    replay(core)
    assert run("--stop", "1").output == "replay 1 is stopped; 1 jobs that had not begun were taken back\n"
    assert "no replay 1 that goes on" in run("--stop", "1").output


def test_no_more_jobs_are_made_than_are_done(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with slow handlers: what is live does not wait behind a thousand replays."""
    monkeypatch.setattr(running, "EVENTS_A_PART", 2)
    monkeypatch.setattr(running, "MAX_OUTSTANDING", 2)
    most: list[int] = []

    def work(_seconds: float) -> None:
        most.append(core.value("SELECT count(*) FROM jobs"))
        core.run()

    monkeypatch.setattr(running.time, "sleep", work)
    done(core, *(text_body(f"{number}", sender=number) for number in range(1, 10)))
    assert run("--reason", "a test").exit_code == 0
    assert max(most) <= 4
    core.run()
    assert sorted(core.seen) == sorted([*map(str, range(1, 10))] * 2)


def test_all_replays_together_make_no_more_jobs_than_are_done(
    core: Core, monkeypatch: pytest.MonkeyPatch, env: Callable[..., Settings]
) -> None:
    """As with somebody's loop over many small replays, each of which would be no burden."""
    env(MAX_REPLAYS="1")
    monkeypatch.setattr(running, "MAX_OUTSTANDING", 2)
    most: list[int] = []

    def work(_seconds: float) -> None:
        most.append(core.value("SELECT count(*) FROM jobs"))
        core.run()

    monkeypatch.setattr(running.time, "sleep", work)
    done(core, *(text_body(f"{number}", sender=number) for number in range(1, 10)))
    for conversation in [row.lane for row in core.rows("SELECT lane FROM events ORDER BY id")]:
        assert run("--reason", "a test", "--conversation", str(conversation)).exit_code == 0
    assert most
    assert max(most) <= 3
    core.run()
    assert sorted(core.seen) == sorted([*map(str, range(1, 10))] * 2)


def test_whoever_wants_one_replay_too_many_is_told_which_go_on(
    core: Core, env: Callable[..., Settings]
) -> None:
    env(MAX_REPLAYS="2")
    done(core, text_body("one"))
    first, second = (start(core.engine, Choice(), who, "a test", 1) for who in ("ada", "grace"))
    refused = run("--reason", "a third").exception
    assert isinstance(refused, TooManyReplays)
    assert f"2 replays go on already ({first.id} by ada, {second.id} by grace)" in str(refused)
    assert f"neverdrop replay --stop {first.id}" in str(refused)
    assert core.value("SELECT count(*) FROM replays") == 2
    assert run("--stop", str(first.id)).exit_code == 0
    assert run("--reason", "a third").exit_code == 0
    finish(core.engine, second)
    assert run("--reason", "a fourth").exit_code == 0


def test_of_many_who_begin_at_once_no_more_than_the_setting_do(
    core: Core, env: Callable[..., Settings]
) -> None:
    env(MAX_REPLAYS="3")

    def begin(number: int) -> bool:
        try:
            start(core.engine, Choice(), f"user{number}", "a test", 1)
        except TooManyReplays:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        begun = list(threads.map(begin, range(8)))
    assert sum(begun) == 3


def test_a_replay_whose_process_is_gone_keeps_nobody_from_another(
    core: Core, env: Callable[..., Settings]
) -> None:
    env(MAX_REPLAYS="1")
    start(core.engine, Choice(), "ada", "a test", 1)
    core.execute("UPDATE replays SET advanced_at = now() - interval '2 minutes'")
    start(core.engine, Choice(), "grace", "a test", 1)
    with pytest.raises(TooManyReplays, match="by grace"):
        start(core.engine, Choice(), "ada", "a test", 1)


def test_a_replay_that_waits_for_its_jobs_is_not_shown_as_left(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a conversation that a person has paused: whoever makes the jobs is there, and says so."""
    monkeypatch.setattr(running, "EVENTS_A_PART", 1)
    monkeypatch.setattr(running, "MAX_OUTSTANDING", 0)
    monkeypatch.setattr(running, "STAY_SECONDS", 0.0)
    states: list[str] = []

    def look(_seconds: float) -> None:
        with core.engine.connect() as connection:
            states.append(replays.find(connection, 1)[0].state)
        if len(states) < 4:
            core.execute("UPDATE replays SET advanced_at = now() - interval '2 minutes'")
        else:
            core.run()

    done(core, text_body("one", "two"))
    monkeypatch.setattr(running.time, "sleep", look)
    assert run("--reason", "a test").exit_code == 0
    assert states[1:4] == ["going on"] * 3


def test_replays_are_listed_with_who_when_why_and_how_far_they_are(core: Core) -> None:
    done(core, text_body("one"))
    replay(core, kind="message")
    shown = run("--list").output
    assert all(part in shown for part in ("ada", "a test", "going on", "1 of 1"))
    (listed,) = map(json.loads, run("--list", "--json").output.splitlines())
    assert (listed["who"], listed["jobs"], listed["waiting"], listed["events"]) == ("ada", 1, 1, 1)


def test_what_would_be_sent_again_is_counted_and_asked_before(core: Core) -> None:
    core.on("message", "text", lambda _event, ctx: ctx.reply("hello") and None)
    done(core, text_body("one"))
    assert "1 replies were sent for them" in run("--dry-run").output
    refused = run("--send-again", "--reason", "a test")
    assert (refused.exit_code, core.states()) == (2, {"done": 1})
    assert "1 replies would be sent again: say so with --yes" in refused.output
    assert run("--send-again", "--yes", "--reason", "a test").exit_code == 0
    core.run()
    assert [row.step for row in core.rows("SELECT step FROM sends ORDER BY id")] == ["1", "1 (replay 1)"]
