"""``neverdrop target``: what the targets are, whether one understands, pausing, and how they go."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.stores.connections import redis
from app.watch import TargetHealth, target_health
from config.settings import Settings
from tests.helpers.core import Core, text_body
from tests.helpers.receiver import receiver
from tests.helpers.targets import SECRET
from tests.integration.cli.support import lines, run
from tests.integration.targets.conftest import Targets


@pytest.fixture
def with_target(core: Core, env: Callable[..., Settings], tmp_path: Path) -> Callable[..., None]:
    """Name a target of this address in TARGETS."""

    def write(url: str = "https://crm.example/hooks?key=hidden", more: str = "") -> None:
        path = tmp_path / "targets.toml"
        path.write_text(
            f'[[target]]\nname = "crm"\nurl = "{url}"\nsecret = "{SECRET}"\n{more}', encoding="utf-8"
        )
        env(TARGETS=str(path))

    return write


def test_the_targets_are_listed_without_their_secrets(with_target: Callable[..., None]) -> None:
    with_target(more='types = ["text"]\n')
    shown = run("target", "list")
    assert "crm" in shown.output
    assert "text" in shown.output
    assert "hidden" not in shown.output + run("target", "list", "--json").output
    (listed,) = lines(run("target", "list", "--json"))
    assert (listed["name"], listed["url"], listed["paused"]) == ("crm", "https://crm.example/hooks", None)


def test_without_targets_it_is_said_how_there_come_to_be_some(core: Core) -> None:
    assert "set FORWARD_URL" in run("target", "list").output


def test_a_target_is_paused_and_resumed_once(with_target: Callable[..., None]) -> None:
    with_target()
    assert run("target", "pause", "crm", "--who", "ada", "--reason", "moving").exit_code == 0
    assert run("target", "pause", "crm").exit_code == 1
    (listed,) = lines(run("target", "list", "--json"))
    assert (listed["paused"]["who"], listed["paused"]["reason"]) == ("ada", "moving")
    assert "paused by ada" in run("target", "list").output
    assert run("target", "resume", "crm").exit_code == 0
    assert "is not paused" in run("target", "resume", "crm").output


def test_a_name_that_is_none_is_said_with_those_that_there_are(with_target: Callable[..., None]) -> None:
    with_target()
    assert "there is no target 'bot'; there are crm" in run("target", "pause", "bot").output


def test_a_sample_event_shows_whether_a_target_understands(with_target: Callable[..., None]) -> None:
    with receiver() as target:
        with_target(target.url)
        answer = run("target", "test", "crm")
        assert (answer.exit_code, target.messages[0]["data"]["id"]) == (0, 0)
        assert "answered 200" in answer.output
        target.status = 500
        assert run("target", "test", "crm").exit_code == 1


def test_stats_show_health_and_what_waits(with_target: Callable[..., None], core: Core) -> None:
    targets = Targets(core)
    targets.add()
    core.ingest(text_body("a"))
    with_target()
    target_health.publish(
        redis(),
        "forwarder@host/1",
        {"crm": TargetHealth("open", 10, 8, 1, 0.05, 0.2, last_error="answered 500")},
    )
    (crm,) = lines(run("target", "stats", "--json"))
    assert (crm["breaker"], crm["failures"], crm["waiting"], crm["last_error"]) == (
        "open",
        8,
        1,
        "answered 500",
    )
    assert "200 ms" in run("target", "stats").output
    status = lines(run("status", "--json"))[0]
    assert status["forwards_waiting"] == 1
    assert status["targets"]["crm"]["breaker"] == "open"
    assert "targets that fail" in run("status").output


def test_faults_of_the_file_are_sentences(with_target: Callable[..., None]) -> None:
    with_target("ftp://crm.example")
    answer = run("target", "list")
    assert "targets.toml:3: url must begin with https:// or http://" in str(answer.exception)
