"""``neverdrop outbox``: what was not sent is seen and decided about, and nobody is named unless asked for."""

import json

import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.integration.flower.test_outbox import states, write


def neverdrop(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["outbox", *arguments])


def test_what_waits_for_a_person_is_listed_masked(core: Core) -> None:
    dead = write(core, 1)
    write(core, 2, "accepted")
    shown = neverdrop("list", "--json")
    assert [json.loads(line)["id"] for line in shown.output.splitlines()] == [dead]
    assert f.phone(1) not in shown.output
    assert f.phone(1) in neverdrop("list", "--json", "--reveal").output


def test_what_surely_was_not_sent_is_sent_again_and_the_rest_stays(core: Core) -> None:
    write(core, 1)
    write(core, 2, "unknown", unsure=True)
    assert json.loads(neverdrop("send-again", "--all", "--sure", "--dry-run", "--json").output)["would_be"]
    assert states(core) == ["dead", "unknown"]
    assert "1 sent again" in neverdrop("send-again", "--all", "--sure", "--who", "ada").output
    assert states(core) == ["queued", "unknown"]
    assert core.value("SELECT who FROM send_actions") == "ada"


@pytest.mark.parametrize(("verb", "state"), [("was-sent", "accepted"), ("drop", "dropped")])
def test_one_is_decided_by_its_id(core: Core, verb: str, state: str) -> None:
    id_ = write(core, 1)
    assert neverdrop(verb, str(id_)).exit_code == 0
    assert states(core) == [state]


def test_what_needs_no_decision_is_left_alone_and_said_to_be(core: Core) -> None:
    id_ = write(core, 1, "accepted")
    answer = neverdrop("drop", str(id_))
    assert answer.exit_code == 1
    assert f"send {id_} was left alone" in answer.output
    assert states(core) == ["accepted"]


@pytest.mark.parametrize(
    "arguments", [["drop"], ["drop", "1", "--all"], ["drop", "0"], ["list", "--limit", "0"]]
)
def test_a_decision_about_nothing_or_everything_by_accident_is_refused(
    core: Core, arguments: list[str]
) -> None:
    write(core, 1)
    assert neverdrop(*arguments).exit_code == 2
    assert states(core) == ["dead"]


def test_a_stopped_number_is_named_and_resumed(core: Core) -> None:
    core.execute(
        "INSERT INTO stopped_numbers (number, token_digest, error) VALUES ('7', 'x', '(190) expired')"
    )
    assert "number 7 is stopped since" in neverdrop("list").output
    assert neverdrop("resume", "7").exit_code == 0
    assert neverdrop("resume", "7").exit_code == 1


def test_a_trace_tells_the_reply_and_what_became_of_it(core: Core) -> None:
    core.on("message", None, lambda _event, ctx: ctx.reply("hi"))
    core.ingest(text_body("hello"))
    core.run()
    core.execute(
        "UPDATE sends SET state = 'accepted', status = 'read', message_id = 'wamid.R', finished_at = now()"
    )
    (line,) = CliRunner().invoke(cli, ["trace", "wamid.R", "--json"]).output.splitlines()
    moments = {each["what"]: each["detail"] for each in json.loads(line)["moments"]}
    assert moments["reply_is"]["stands_at"] == "read"
    assert "attempt" in moments


@pytest.mark.parametrize(
    ("code", "words"), [("131047", "24 hours"), ("190", "expired"), ("999999", "not in Meta")]
)
def test_a_code_of_metas_is_explained(code: str, words: str) -> None:
    assert words in CliRunner().invoke(cli, ["explain", "--error", code]).output


def test_why_a_number_is_stopped_names_nobody_and_steers_no_terminal(core: Core) -> None:
    core.execute(
        "INSERT INTO stopped_numbers (number, token_digest, error) VALUES ('1', 'x', :error)",
        error=f"(190) expired for {f.phone(1)}\x1b[2J",
    )
    shown = neverdrop("list").output
    assert "(190) expired" in shown
    assert f.phone(1) not in shown
    assert "\x1b" not in shown
    revealed = neverdrop("list", "--reveal").output
    assert f.phone(1) in revealed
    assert "\x1b" not in revealed
