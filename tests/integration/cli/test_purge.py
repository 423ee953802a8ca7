"""``neverdrop purge``: what it deletes, and which ages it refuses."""

from collections.abc import Callable

import pytest

from config.settings import Settings
from tests.helpers.core import Core
from tests.helpers.rows import add_events, ago
from tests.integration.cli.support import dead, lines, run

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)


# purge


def finished(core: Core, days: float, count: int = 1) -> None:
    add_events(core.engine, count, state="done", finished_at=ago(days * 86_400))


def test_purge_deletes_what_is_older_and_tells_how_much(core: Core) -> None:
    finished(core, 31, 2)
    finished(core, 29)
    (answer,) = lines(run("purge", "--older-than", 30, "--json"))
    assert {name: answer[name] for name in ("events", "attempts", "statuses", "deliveries", "actions")} == {
        "events": 2, "attempts": 0, "statuses": 0, "deliveries": 0, "actions": 0,
    }  # fmt: skip
    assert core.states() == {"done": 1}
    assert "deleted 0 events that were finished before" in run("purge", "--older-than", 30).output


def test_purge_takes_its_age_from_the_setting(core: Core, env: Callable[..., Settings]) -> None:
    env(RETENTION_DAYS="30")
    finished(core, 31)
    assert "deleted 1 events" in run("purge").output


def test_purge_without_an_age_says_what_to_give(core: Core) -> None:
    result = run("purge")
    assert result.exit_code == 1
    assert "--older-than DAYS, or set RETENTION_DAYS" in result.output


def test_purge_refuses_an_age_at_which_a_repeat_may_still_come(core: Core) -> None:
    finished(core, 7.5)
    result = run("purge", "--older-than", 7)
    assert result.exit_code == 2
    assert "Meta repeats a webhook for 7 days" in result.output
    assert core.states() == {"done": 1}


def test_a_dry_run_of_purge_deletes_nothing(core: Core) -> None:
    (id_,) = dead(core, "a")
    run("dead", "discard", id_, "--reason", "test")
    core.execute("UPDATE dead_letter_actions SET at = :old", old=ago(31 * 86_400))
    core.execute("UPDATE outcomes SET finished_at = :old", old=ago(31 * 86_400))
    finished(core, 31)
    (answer,) = lines(run("purge", "--older-than", 30, "--dry-run", "--json"))
    assert (answer["events"], answer["dry_run"]) == (2, True)
    assert "would delete 2 events" in run("purge", "--older-than", 30, "--dry-run").output
    assert core.states() == {"discarded": 1, "done": 1}
