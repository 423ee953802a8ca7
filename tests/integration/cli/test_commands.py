"""The command line against real stores: what it says, what it hides, and what it says when something is missing."""

import json

import pytest

from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.cli.support import dead, lines, run

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)

SECRET_TEXT = "my card is 4242"

QUOTED = f"'{SECRET_TEXT}'"

UNKNOWN = "999999"


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


def test_status_does_not_say_that_nobody_works_while_redis_takes_no_writes(core: Core) -> None:
    """As when it is full: no heartbeat is written, whoever is alive."""
    (answer,) = lines(run("status", "--json"))
    assert answer["workers"] == {}
    core.execute("INSERT INTO alerts (name, raised, raised_at) VALUES ('redis_down', true, now())")
    (answer,) = lines(run("status", "--json"))
    assert answer["workers"] is None
    assert "not known: Redis takes no writes" in run("status").output


# trace


def test_trace_tells_the_story_without_the_person(core: Core) -> None:
    dead(core, QUOTED)
    result = run("trace", f.wamid(QUOTED))
    assert result.exit_code == 0
    assert [word in result.output for word in ("received", "stored", "attempt", "dead")] == [True] * 4
    assert hides_the_person(result.output)


def test_trace_reveals_the_person_when_asked(core: Core) -> None:
    dead(core, SECRET_TEXT)
    (history,) = lines(run("trace", f.wamid(SECRET_TEXT), "--json", "--reveal"))
    assert history["key"] == f"message:{f.wamid(SECRET_TEXT)}"
    assert SECRET_TEXT in history["error"]
    assert history["conversation"].endswith(f.user_id(1))


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
    assert f"job {id_} is done, not dead" in run("dead", "show", id_).output
    unknown = run("dead", "show", UNKNOWN)
    assert (unknown.exit_code, f"no job {UNKNOWN}" in unknown.output) == (1, True)


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
    assert f"event {UNKNOWN} was left alone: there is no job with this number" in result.stderr


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
