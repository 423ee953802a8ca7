"""``neverdrop dead`` beyond one letter: the page's filters, rates, dry runs, exports; and ``pause`` and ``resume``."""

import json
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from app.cli.entry import cli
from config.celery import DEAD_LETTERS
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import Core, text_body

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)

MANY = 1200


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def objects(result: Result) -> list[Any]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def dead(core: Core, *texts: str, **more: Any) -> list[int]:
    core.broken.update(texts)
    core.ingest(text_body(*texts, **more))
    core.run()
    return [int(core.event(words).id) for words in texts]


@pytest.fixture
def many(core: Core) -> Core:
    sample_data.events(core.engine, sample_data.conversations(core.engine), MANY)
    return core


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--type", "text"), MANY // 2),
        (("--error-class", "KeyError"), MANY // 4),
        (("--handler", "mybot.answer"), MANY // 2),
        (("--search", "old_catalogue"), MANY // 4),
        (("--conversation", f"{f.PHONE_NUMBER_ID}/{f.phone(1)}"), MANY // sample_data.USERS),
        (("--conversation", f"+{f.phone(1)}"), MANY // sample_data.USERS),
        (("--conversation", f.user_id(1)), MANY // sample_data.USERS),
        (("--after", "2099-01-01"), 0),
        (("--before", "2099-01-01T12:00"), MANY),
    ],
)
def test_the_filters_are_those_of_the_page(many: Core, options: tuple[str, ...], count: int) -> None:
    assert len(objects(run("dead", "list", "--limit", MANY, "--json", *options))) == count
    (answer,) = objects(run("dead", "retry", "--all", "--dry-run", "--json", *options))
    assert answer == {"would_be": count}
    assert many.states() == {"dead": MANY}


def test_a_time_that_is_none_is_refused(core: Core) -> None:
    result = run("dead", "list", "--after", "yesterday")
    assert result.exit_code == 2
    assert "is no time" in result.output


def test_a_bulk_retry_takes_what_matches_and_leaves_the_queue_right(many: Core) -> None:
    (answer,) = objects(run("dead", "retry", "--all", "--type", "text", "--json", "--who", "ada"))
    assert (len(answer["retried"]), answer["left_alone"]) == (MANY // 2, [])
    assert many.states() == {"dead": MANY // 2, "pending": MANY // 2}
    assert many.redis.llen(DEAD_LETTERS) == MANY // 2
    assert many.value("SELECT count(*) FROM dead_letter_actions WHERE who = 'ada'") == MANY // 2


def test_a_rate_gives_each_a_turn_in_the_order_of_its_conversation(core: Core) -> None:
    dead(core, "first", "second", "third")
    assert run("dead", "retry", "--all", "--rate", "0.1").exit_code == 0
    turns = core.rows("SELECT due_at FROM event_jobs ORDER BY occurred_at, delivery_id, position")
    assert [later.due_at - earlier.due_at for earlier, later in pairwise(turns)] == [
        timedelta(seconds=10)
    ] * 2


@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
def test_a_rate_that_is_none_is_refused(core: Core, rate: str) -> None:
    dead(core, "stays")
    assert run("dead", "retry", "--all", "--rate", rate).exit_code == 2
    assert core.states() == {"dead": 1}


def test_a_dry_run_of_a_discard_changes_nothing(core: Core) -> None:
    dead(core, "one", "two")
    result = run("dead", "discard", "--all", "--reason", "none", "--dry-run")
    assert result.output == "2 would be discarded\n"
    assert core.states() == {"dead": 2}


def test_an_export_holds_every_letter_with_its_payload_masked(many: Core) -> None:
    letters = objects(run("dead", "export"))
    assert len({letter["id"] for letter in letters}) == MANY
    assert all(letter["payload"]["item"]["type"] == letter["type"] for letter in letters)
    assert f.phone(1) not in json.dumps(letters)


def test_an_export_to_a_file_reveals_only_when_asked(core: Core, tmp_path: Path) -> None:
    dead(core, "my secret")
    target = tmp_path / "letters.jsonl"
    assert run("dead", "export", "--output", target).output == ""
    assert "my secret" not in target.read_text()
    run("dead", "export", "--output", target, "--reveal")
    assert "my secret" in target.read_text()


def typed(monkeypatch: pytest.MonkeyPatch, *texts: str | None) -> list[str]:
    """What somebody leaves in the editor each time it opens, None without saving; what it opened with."""
    left, opened = iter(texts), []

    def edit(text: str, **_: Any) -> str | None:
        opened.append(text)
        return next(left)

    monkeypatch.setattr(click, "edit", edit)
    return opened


def test_a_payload_is_mended_from_a_file_and_the_original_kept(core: Core, tmp_path: Path) -> None:
    (id_,) = dead(core, "brokn")
    original = core.event("brokn").payload
    mended = tmp_path / "payload.json"
    mended.write_text(original.replace("brokn", "mended"))
    result = run("dead", "edit", id_, "--file", mended, "--reason", "a typo", "--who", "ada", "--json")
    assert objects(result) == [{"edited": [id_], "left_alone": []}]
    core.run()
    assert core.seen == ["mended"]
    kept = core.rows("SELECT action, who, reason, payload FROM dead_letter_actions ORDER BY id")
    assert [tuple(row) for row in kept] == [
        ("edit", "ada", "a typo", original),
        ("retry", "ada", None, None),
    ]


def test_what_is_no_json_goes_back_into_the_editor(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    (id_,) = dead(core, "brokn")
    odd = core.event("brokn").payload.replace("brokn", r"brokn Gr\u00fc\u00dfe \ud800")
    core.execute("UPDATE events SET payload = :odd", odd=odd)
    good = odd.replace("brokn", "mended")
    opened = typed(monkeypatch, "{", good)
    result = CliRunner().invoke(cli, ["dead", "edit", str(id_)], input="y\n")
    assert result.exit_code == 0, result.output
    assert "not JSON" in result.stderr
    assert r"brokn Grüße \ud800" in opened[0]
    assert opened[1] == "{"
    core.run()
    assert core.seen == ["mended Grüße \ud800"]


@pytest.mark.parametrize(("left", "message"), [([None], "not saved"), (["{"], "Aborted")])
def test_an_edit_that_is_given_up_changes_nothing(
    core: Core, monkeypatch: pytest.MonkeyPatch, left: list[str | None], message: str
) -> None:
    (id_,) = dead(core, "stays")
    typed(monkeypatch, *left)
    result = CliRunner().invoke(cli, ["dead", "edit", str(id_)], input="n\n")
    assert result.exit_code == 1
    assert message in result.output
    assert core.states() == {"dead": 1}
    assert core.value("SELECT count(*) FROM dead_letter_actions") == 0


def test_what_is_not_dead_cannot_be_edited(core: Core, tmp_path: Path) -> None:
    (id_,) = dead(core, "one")
    run("dead", "retry", id_)
    mended = tmp_path / "payload.json"
    mended.write_text('{"item": 1}')
    assert "it is pending, not dead" in run("dead", "edit", id_, "--file", mended).output
    assert "is no dead letter" in run("dead", "edit", id_).output


def test_a_conversation_is_paused_and_resumed_by_any_of_its_names(core: Core) -> None:
    core.ingest(text_body("waits"))
    lane = core.event("waits").lane
    paused = run("pause", f.phone(1), "--who", "ada")
    assert paused.output == f"conversation {lane} is paused: what arrives is stored and waits\n"
    assert "is paused already" in run("pause", lane).output
    core.run()
    assert core.seen == []
    assert core.value("SELECT paused_by FROM lanes") == "ada"
    assert run("resume", f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}").output == f"conversation {lane} goes on\n"
    assert "is not paused" in run("resume", lane).output
    core.run()
    assert core.seen == ["waits"]


def test_a_conversation_that_nobody_knows_cannot_be_paused(core: Core) -> None:
    result = run("pause", "15559999999")
    assert result.exit_code != 0
    assert "no such conversation" in str(result.exception)
