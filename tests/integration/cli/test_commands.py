"""The command line against real stores: what it says, what it hides, and what it says when something is missing."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli, main
from app.dev.stack.embedded import free_port
from app.watch import alert_marks
from app.watch.conditions import Action, AlertChange, AlertName
from config.settings import Settings
from config.settings import settings as current_settings
from tests.helpers import factories as f
from tests.helpers import services as servers
from tests.helpers.core import Core, text_body
from tests.helpers.rows import add_events, ago
from tests.helpers.services import Services

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)

SECRET_TEXT = "my card is 4242"
QUOTED = f"'{SECRET_TEXT}'"
UNKNOWN = "999999"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def lines(result: Result) -> list[Any]:
    """The objects that were printed."""
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def dead(core: Core, *texts: str) -> list[int]:
    core.broken.update(texts)
    core.ingest(text_body(*texts))
    core.run()
    return [core.event(words).id for words in texts]


def hides_the_person(output: str, words: str = SECRET_TEXT) -> bool:
    return not any(secret in output for secret in (f.wamid(words), f.user_id(1), f.phone(1), words))


# status


def test_status_tells_what_waits(core: Core) -> None:
    dead(core, "a")
    core.ingest(text_body("b"))
    core.accept(text_body("c"))
    (answer,) = lines(run("status", "--json"))
    assert {name: answer[name] for name in ("unfinished", "journal", "pending", "dead_letters")} == {
        "unfinished": 2,
        "journal": 1,
        "pending": 1,
        "dead_letters": 1,
    }
    assert answer["queues"]["dead_letters"] == 1
    assert "unfinished" in run("status").output


# trace


def test_trace_tells_the_story_without_the_person(core: Core) -> None:
    dead(core, QUOTED)
    result = run("trace", f.wamid(QUOTED))
    assert result.exit_code == 0
    assert [word in result.output for word in ("received", "stored", "attempt", "dead")] == [True] * 4
    assert hides_the_person(result.output)


def test_trace_reveals_the_person_when_asked(core: Core) -> None:
    dead(core, SECRET_TEXT)
    (story,) = lines(run("trace", f.wamid(SECRET_TEXT), "--json", "--reveal"))
    assert story["key"] == f"message:{f.wamid(SECRET_TEXT)}"
    assert SECRET_TEXT in story["error"]
    assert story["conversation"].endswith(f.user_id(1))


def test_trace_as_json_hides_the_person_too(core: Core) -> None:
    dead(core, QUOTED)
    result = run("trace", f.wamid(QUOTED), "--json")
    assert [moment["what"] for moment in lines(result)[0]["moments"]][-1] == "dead"
    assert hides_the_person(result.output)


def test_trace_finds_what_waits_in_the_journal(core: Core) -> None:
    (id_,) = core.accept(text_body("a"))
    assert f"delivery {id_}, waits in the journal" in run("trace", f.wamid("a")).output


def test_trace_as_json_tells_of_what_waits_in_the_journal(core: Core) -> None:
    (id_,) = core.accept(text_body("a"))
    assert id_ in run("trace", f.wamid("a"), "--json").stdout


def test_trace_tells_the_status_of_a_message_that_we_sent(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("read", number=9))))
    assert "status of the message: read" in run("trace", f.wamid(9)).output


def test_trace_of_what_is_unknown_fails_and_masks_its_id(core: Core) -> None:
    result = run("trace", f.wamid(SECRET_TEXT))
    assert result.exit_code == 1
    assert "nothing is known of wamid.…" in result.output
    assert hides_the_person(result.output)


# dead


def test_dead_list_is_short_masked_and_oldest_first(core: Core) -> None:
    ids = sorted(dead(core, QUOTED, "b"))
    result = run("dead", "list")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:]] == [str(id_) for id_ in ids]
    assert hides_the_person(result.output)
    assert run("dead", "list", "--kind", "status").output == "no dead letters\n"


def test_dead_list_as_json_reveals_only_when_asked(core: Core) -> None:
    (id_,) = dead(core, "a")
    (masked,), (revealed,) = (
        lines(run("dead", "list", "--json")),
        lines(run("dead", "list", "--json", "--reveal")),
    )
    assert masked["id"] == revealed["id"] == id_
    assert f.user_id(1) not in json.dumps(masked)
    assert revealed["key"] == f"message:{f.wamid('a')}"


@pytest.mark.parametrize("words", ["[/red] closes nothing", "[red]", "\x1b[31m", "a\nb", "\\"])
def test_dead_list_shows_any_error(core: Core, words: str) -> None:
    """An error quotes what a user wrote, and a user may write the marks of the terminal's own language."""
    dead(core, words)
    assert run("dead", "list", "--reveal").exit_code == 0
    assert run("trace", f.wamid(words), "--reveal").exit_code == 0


def test_dead_list_says_when_there_are_more(core: Core) -> None:
    dead(core, "a", "b")
    assert "--limit shows more" in run("dead", "list", "--limit", 1).stderr


def test_dead_show_tells_the_payload_and_each_attempt_masked(core: Core) -> None:
    (id_,) = dead(core, QUOTED)
    result = run("dead", "show", id_)
    assert result.exit_code == 0
    assert "Traceback" in result.output
    assert hides_the_person(result.output)
    assert hides_the_person(run("dead", "show", id_, "--json").output)
    (shown,) = lines(run("dead", "show", id_, "--json", "--reveal"))
    assert shown["payload"]["item"]["text"]["body"] == QUOTED
    assert len(shown["tries"]) == 1


@pytest.mark.parametrize("command", [("dead", "list"), ("dead", "show", "1"), ("trace", "1")])
def test_an_error_that_repeats_the_message_without_quotes_is_masked_too(
    core: Core, command: tuple[str, ...]
) -> None:
    dead(core, SECRET_TEXT)
    assert hides_the_person(run(*command).output)


def test_dead_show_of_what_is_not_dead_says_what_it_is(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    id_ = core.event("a").id
    assert f"event {id_} is done, not dead" in run("dead", "show", id_).output
    unknown = run("dead", "show", UNKNOWN)
    assert (unknown.exit_code, f"no event {UNKNOWN}" in unknown.output) == (1, True)


def test_dead_retry_runs_the_chosen_again_and_notes_who(core: Core) -> None:
    first, second = dead(core, "a", "b")
    core.broken.clear()
    result = run("dead", "retry", first, "--who", "ada")
    assert (result.exit_code, result.output.startswith("1 retried")) == (0, True)
    core.run()
    assert core.seen == ["a"]
    assert core.value("SELECT who FROM dead_letter_actions") == "ada"
    assert core.event("b").id == second


def test_dead_retry_of_what_is_not_dead_fails_and_says_why(core: Core) -> None:
    (id_,) = dead(core, "a")
    result = run("dead", "retry", id_, UNKNOWN)
    assert result.exit_code == 1
    assert "1 retried" in result.stdout
    assert f"event {UNKNOWN} was left alone: there is no event with this id" in result.stderr


@pytest.mark.parametrize("arguments", [(), (1, "--all"), ("--kind", "message"), (1, "--type", "text")])
def test_dead_retry_never_takes_all_by_accident(core: Core, arguments: tuple[object, ...]) -> None:
    dead(core, "a")
    assert run("dead", "retry", *arguments).exit_code == 2
    assert core.states() == {"dead": 1}


def test_dead_retry_of_all_takes_those_that_match(core: Core) -> None:
    dead(core, "a", "b")
    assert run("dead", "retry", "--all", "--error", "cannot handle b").output.startswith("1 retried")
    assert (core.event("a").state, core.event("b").state) == ("dead", "pending")


def test_dead_discard_wants_a_reason(core: Core) -> None:
    (id_,) = dead(core, "a")
    assert run("dead", "discard", id_).exit_code == 2
    assert run("dead", "discard", id_, "--reason", "answered by phone").exit_code == 0
    assert core.event("a").state == "discarded"
    assert core.value("SELECT reason FROM dead_letter_actions") == "answered by phone"


# What is missing


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What ``neverdrop ...`` says on standard error as it fails."""

    def fail(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["neverdrop", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 1
        return capsys.readouterr().err

    return fail


@pytest.fixture
def no_tables(services: Services, env: Callable[..., Settings]) -> Iterator[None]:
    servers.execute(services.postgres_url, "CREATE DATABASE bare_neverdrop")
    env(DATABASE_URL=servers.database(services.postgres_url, "bare_neverdrop"))
    yield
    servers.execute(services.postgres_url, "DROP DATABASE bare_neverdrop WITH (FORCE)")


@pytest.mark.parametrize("command", [("status",), ("trace", "1"), ("dead", "list")])
def test_without_tables_it_says_how_to_make_them(
    no_tables: None, say: Callable[..., str], command: tuple[str, ...]
) -> None:
    assert "run `neverdrop migrate`" in say(*command)


def test_migrate_makes_the_tables(no_tables: None) -> None:
    assert run("migrate").output == "the database is up to date\n"
    assert run("dead", "list").output == "no dead letters\n"


@pytest.mark.parametrize("command", [("status",), ("trace", "1"), ("dead", "list"), ("migrate",)])
def test_without_postgres_it_says_so(
    env: Callable[..., Settings], say: Callable[..., str], command: tuple[str, ...]
) -> None:
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    assert "Postgres does not answer" in say(*command)


def test_without_redis_it_says_so(env: Callable[..., Settings], say: Callable[..., str]) -> None:
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert "Redis does not answer" in say("status")


def test_without_postgres_status_shows_what_redis_knows(core: Core, env: Callable[..., Settings]) -> None:
    core.accept(text_body("a"))
    alert_marks.mark(core.redis, AlertChange(Action.RAISE, AlertName.DATABASE_DOWN, "away", 1, 1))
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    answer = json.loads(run("status", "--json").stdout)
    assert (answer["journal"], answer["pending"], answer["unanswered"]) == (1, None, ["postgres"])
    assert answer["alerts"] == ["database_down"]
    result = run("status")
    assert (result.exit_code, "Postgres does not answer" in result.stdout) == (1, True)


def test_without_redis_status_shows_what_postgres_knows(core: Core, env: Callable[..., Settings]) -> None:
    dead(core, "a")
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    answer = json.loads(run("status", "--json").stdout)
    assert (answer["journal"], answer["dead_letters"], answer["unanswered"]) == (None, 1, ["redis"])


def test_trace_needs_no_redis_for_what_the_tables_know(core: Core, env: Callable[..., Settings]) -> None:
    core.ingest(text_body("a"))
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert run("trace", f.wamid("a")).exit_code == 0


def test_without_settings_it_names_each_that_is_missing(
    env: Callable[..., Settings], say: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORT", "none")
    monkeypatch.setenv("ALERT_DEAD_LETTERS", "0")
    current_settings.cache_clear()
    text = say("status")
    assert "PORT" in text
    assert "ALERT_DEAD_LETTERS" in text


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
    core.execute("UPDATE events SET finished_at = :old", old=ago(31 * 86_400))
    finished(core, 31)
    (answer,) = lines(run("purge", "--older-than", 30, "--dry-run", "--json"))
    assert (answer["events"], answer["dry_run"]) == (2, True)
    assert "would delete 2 events" in run("purge", "--older-than", 30, "--dry-run").output
    assert core.states() == {"discarded": 1, "done": 1}
