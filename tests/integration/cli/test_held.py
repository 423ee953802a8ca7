"""``neverdrop held``: what waits for its next attempt is listed, hurried or skipped."""

import pytest

from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.cli.support import lines, run

pytestmark = pytest.mark.core(messages="failing", of_process=True)


def hold(core: Core, words: str, sender: int) -> int:
    core.broken.add(words)
    core.ingest(text_body(words, sender=sender))
    core.run()
    return int(core.event(words).id)


def test_a_list_says_what_waits_until_when_and_masks_people(core: Core) -> None:
    first, second = hold(core, "call 15551234567", 1), hold(core, "other", 2)
    core.execute("UPDATE jobs SET due_at = due_at + interval '2 hours' WHERE id = :id", id=second)
    one, two = lines(run("held", "list", "--json"))
    assert (one["event_id"], two["event_id"]) == (first, second)
    assert (one["attempts"], one["waiting"], one["blocks_lane"]) == (1, 1, True)
    assert one["due_at"] > one["failed_at"]
    table = run("held", "list").output
    assert all(str(id_) in table for id_ in (first, second))
    for secret in (f.phone(1), f.user_id(1), "15551234567"):
        assert secret not in table
        assert secret not in run("held", "list", "--json").output
    assert "15551234567" in run("held", "list", "--json", "--reveal").output
    assert "the first 1; --limit shows more" in run("held", "list", "--limit", 1).output


def test_an_empty_list_says_so(core: Core) -> None:
    assert run("held", "list").output == "nothing waits for its next attempt\n"


def test_after_a_fix_all_that_match_are_hurried(core: Core) -> None:
    first, second = hold(core, "first", 1), hold(core, "second", 2)
    core.broken.clear()
    (would,) = lines(run("held", "retry", "--all", "--dry-run", "--json"))
    assert would == {"would_be": 2}
    (answer,) = lines(run("held", "retry", "--all", "--conversation", f.phone(2), "--json", "--who", "ada"))
    assert answer == {"retried": [second], "left_alone": []}
    core.run()
    assert core.seen == ["second"]
    assert run("held", "retry", first).exit_code == 0
    core.run()
    assert core.seen == ["second", "first"]
    assert "retry_held" in run("trace", second).output


def test_a_skip_wants_a_reason_and_never_takes_all_by_accident(core: Core) -> None:
    id_ = hold(core, "unwanted", 1)
    for refused in (
        ("skip", id_),
        ("skip", "--reason", "x"),
        ("retry",),
        ("retry", id_, "--all"),
        ("retry", "--type", "text"),
    ):
        assert run("held", *refused).exit_code == 2, refused
    assert core.states() == {"pending": 1}
    (answer,) = lines(run("held", "skip", "--all", "--error", "cannot", "--reason", "a test", "--json"))
    assert answer == {"skipped": [id_], "left_alone": []}
    assert core.states() == {"skipped": 1}
    again = run("held", "skip", id_, "--reason", "again")
    assert again.exit_code == 1
    assert "it is skipped, not held" in again.output
